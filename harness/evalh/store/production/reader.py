"""Reading `production.db`: workflows and all that belongs to them."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from evalh.core.errors import NotFound
from evalh.core.production import (
    ProductionCall,
    Spent,
    TracedItem,
    WorkflowDetail,
    WorkflowKind,
    WorkflowList,
    WorkflowQuery,
)
from evalh.store.columns import Instants, read_json, restored, stored
from evalh.store.database import connect_reading, explained
from evalh.store.log_reader import LogReader
from evalh.store.production import listing
from evalh.store.production.rows import TABLES, R, record_of
from evalh.store.production.schema import FILE, schema_version
from evalh.store.query import Query, Rows
from evalh_trace.records import Attempt, Call, Feedback, Loss, Score, Step, Workflow

_WHICH = {
    "all": ("true", "coalesce(c.started_at, w.started_at) desc, c.rowid desc"),
    "errors": (
        "exists (select 1 from attempts a where a.call_id = c.id and a.status = 'error')",
        "coalesce(c.started_at, w.started_at) desc, c.rowid desc",
    ),
    "slow": ("c.latency_ms is not null", "c.latency_ms desc"),
    "retried": ("c.attempts > 1", "coalesce(c.started_at, w.started_at) desc, c.rowid desc"),
}
_HINT = "evalh collect -- COMMAND, or evalh.trace in the program: docs/guide/tracing.md"


class ProductionReader(LogReader):
    """Reads one folder's `production.db`."""

    @classmethod
    def open(cls, folder: Path) -> "ProductionReader":
        """Open it. Raises NotFound if nothing was traced yet, StoreError, WorkspaceError."""
        path = folder / FILE
        if not path.exists():
            raise NotFound("no workflows are traced yet", where=str(path), hint=_HINT)
        try:
            connection = connect_reading(path)
            version = schema_version(connection, path)
        except sqlite3.Error as exc:
            raise explained(exc, path) from exc
        if version == 0:
            connection.close()
            raise NotFound("no workflows are traced yet", where=str(path), hint=_HINT)
        return cls(connection, path)

    def find(self, name: str) -> WorkflowDetail | TracedItem | None:
        """Return what an id names: a workflow, also by the beginning of its id, a step, or a call.

        `last` is the newest workflow. Raises NotFound for a beginning of several.
        """
        if name == "last":
            newest = self._first("select id from workflows where kept is not 'stub' order by started_at desc limit 1")
            return None if newest is None else self.detail(restored(newest["id"]))
        asked = stored(name)
        if self.holds(name):
            return self.detail(name)
        if (row := self._first("select * from calls where id = ?", asked)) is not None:
            return TracedItem(self.detail(restored(row["workflow_id"])), record_of(Call, row))
        if (row := self._first("select * from workflow_steps where id = ?", asked)) is not None:
            return TracedItem(self.detail(restored(row["workflow_id"])), record_of(Step, row))
        begun = "select id from workflows where substr(id, 1, length(:name)) = :name order by id limit 3"
        ids = [restored(row["id"]) for row in self._rows(begun, {"name": asked})]
        if len(ids) > 1:
            raise NotFound(f"{name!r} is the beginning of several workflows", hint=", ".join(ids))
        return self.detail(ids[0]) if ids else None

    def detail(self, workflow: str) -> WorkflowDetail:
        """Return a workflow with all that belongs to it. Raises NotFound."""
        asked = stored(workflow)
        row = self._first("select * from workflows where id = ?", asked)
        if row is None:
            raise NotFound(f"no workflow {workflow!r}", hint="evalh calls --production")
        return WorkflowDetail(
            workflow=record_of(Workflow, row),
            steps=self._of(Step, asked, "position is null, position, started_at, rowid"),
            calls=self._of(Call, asked, "started_at, rowid"),
            attempts=self._of(Attempt, asked, "call_id, number, started_at, rowid"),
            feedback=self._of(Feedback, asked, "at"),
            scores=self._of(Score, asked, "at, rowid"),
        )

    def holds(self, workflow: str) -> bool:
        """Whether there is a workflow of this id."""
        return self._first("select 1 from workflows where id = ?", stored(workflow)) is not None

    def holds_step(self, step: str) -> bool:
        """Whether there is a step of this id."""
        return self._first("select 1 from workflow_steps where id = ?", stored(step)) is not None

    def answered(self, request_digest: str, since: float | None) -> Attempt | None:
        """Return the newest whole answer to a request of an ask that came to a good end; None: there is none."""
        row = self._first(
            """select a.* from calls c
            join attempts a on a.id = c.answered_by and a.call_id = c.id join workflows w on w.id = c.workflow_id
            left join workflow_steps s on s.id = c.step_id left join workflow_steps p on p.id = s.parent_id
            where c.request_digest = ? and c.route is not null and w.kept is not 'stub' and w.started_at >= ?
            and a.status = 'ok' and a.finish in ('stop', 'tool_calls')
            and (a.text is not null or a.tool_calls is not null)
            and case when w.door = 'ask' then w.status is 'ok' else s.status is 'ok' and p.status is not 'error' end
            order by w.started_at desc limit 1""",
            stored(request_digest),
            "" if since is None else Instants().text(max(0.0, since)),
        )
        return None if row is None else record_of(Attempt, row)

    def own_ids(self) -> dict[str, str]:
        """Return the workflows by the ids that services gave their answers; an id of several names none."""
        rows = self._rows(
            """select own, min(workflow) as workflow from (
              select json_extract(attributes, '$.id') as own, id as workflow from workflows
              union select json_extract(attributes, '$.trace_id'), id from workflows
              union select json_extract(attributes, '$.custom_id'), id from workflows)
            where typeof(own) = 'text' group by own having count(*) = 1"""
        )
        return {restored(row["own"]): restored(row["workflow"]) for row in rows}

    def voted_down(self, since: str = "") -> list[str]:
        """Return the workflows of which a user said that they were bad, the newest vote first."""
        rows = self._rows(
            """select f.workflow_id from feedback f join workflows w on w.id = f.workflow_id
            where f.good = 0 and f.at >= ? and w.kept is not 'stub' group by f.workflow_id order by max(f.at) desc""",
            since,
        )
        return [restored(row["workflow_id"]) for row in rows]

    def workflows(
        self, *, since: str = "", until: str = "~", name: str | None = None, limit: int = -1
    ) -> Iterator[Workflow]:
        """Yield workflows, the newest first; stubs are left out. `since` and `until` are instants of the log's form."""
        sql = """select * from workflows where kept is not 'stub' and started_at >= ? and started_at < ?
        and (? is null or name = ?) order by started_at desc, rowid desc limit ?"""
        name = None if name is None else stored(name)
        for row in self._stream(sql, since, until, name, name, limit):
            yield record_of(Workflow, row)

    def listed(self, query: WorkflowQuery, *, limit: int, offset: int = 0) -> WorkflowList:
        """Return a part of a list of workflows, and how many there are of each kind."""
        values = listing.values_of(query)
        counts = self._first(listing.COUNTS, values)
        rows = self._rows(listing.lines_sql(query), {**values, "limit": limit, "offset": offset})
        lost = self._first("select coalesce(sum(count), 0) as lost from losses")
        return WorkflowList(
            lines=tuple(
                listing.line_of(row, self._first(listing.FIRST_FAILURE, {"id": row["id"]}) if row["steps"] else None)
                for row in rows
            ),
            counts={kind: 0 if counts is None else counts[kind] or 0 for kind in WorkflowKind},
            names=tuple(restored(row["name"]) for row in self._rows(listing.NAMES)),
            versions=tuple(restored(row["version"]) for row in self._rows(listing.VERSIONS)),
            lost=0 if lost is None else lost["lost"],
        )

    def calls(self, which: str, *, since: str = "", limit: int = -1) -> list[ProductionCall]:
        """Return calls, the newest first: all, errors, slow (the slowest first) or retried."""
        where, order = _WHICH[which]
        rows = self._rows(
            f"""select c.*, w.name as workflow from calls c join workflows w on w.id = c.workflow_id
            where coalesce(c.started_at, w.started_at) >= ? and {where} order by {order} limit ?""",  # noqa: S608 (texts of our own)
            since,
            limit,
        )
        return [
            ProductionCall(
                call=record_of(Call, row),
                workflow=restored(row["workflow"]),
                attempts=tuple(
                    record_of(Attempt, one)
                    for one in self._rows("select * from attempts where call_id = ? order by number, rowid", row["id"])
                ),
                versions=tuple(read_json(row["versions"]) or ()),
                cost_usd=row["cost_usd"],
            )
            for row in rows
        ]

    def spending(self, since: str = "") -> list[Spent]:
        """Return what workflows cost, by their name; the most expensive first."""
        rows = self._rows(
            """select name, count(*) as workflows, sum(calls) as calls, sum(cost_usd) as usd,
            sum(cost_usd is null) as unpriced, sum(1 / coalesce(probability, 1)) as stands_for,
            sum(cost_usd / coalesce(probability, 1)) as usd_of_all
            from workflow_costs where started_at >= ? group by name order by usd desc, name""",
            since,
        )
        return [
            Spent(
                name=restored(row["name"]),
                workflows=row["workflows"],
                calls=row["calls"] or 0,
                usd=row["usd"] or 0.0,
                unpriced=row["unpriced"],
                stands_for=row["stands_for"],
                usd_of_all=row["usd_of_all"] or 0.0,
            )
            for row in rows
        ]

    def votes(self) -> dict[str, Counter[bool]]:
        """Return users' votes by workflow; implicit signs and stubs' votes are left out."""
        found: dict[str, Counter[bool]] = {}
        sql = """select workflow_id, good, count(*) as votes from feedback
        where good is not null and workflow_id in (select id from workflows) group by workflow_id, good"""
        for row in self._rows(sql):
            found.setdefault(restored(row["workflow_id"]), Counter())[bool(row["good"])] += row["votes"]
        return found

    def workflow_of_calls(self) -> dict[str, str]:
        """Return the workflow of each call."""
        return {
            restored(row["id"]): restored(row["workflow_id"]) for row in self._rows("select id, workflow_id from calls")
        }

    def count(self) -> int:
        """Count the workflows, those included of which only a stub is kept."""
        found = self._first("select count(*) as workflows from workflows")
        return 0 if found is None else int(found["workflows"])

    def query(self, sql: str, deadline_s: float | None = None) -> tuple[tuple[str, ...], Rows]:
        """Run a user's SQL; see `Reader.query`. Raises UsageError."""
        query = Query(self._path, sql, deadline_s)
        return query.start(), query.rows()

    def losses(self) -> tuple[Loss, ...]:
        """Return what was not recorded."""
        return tuple(record_of(Loss, row) for row in self._rows("select * from losses order by at"))

    def _of(self, kind: type[R], workflow: str, order: str) -> tuple[R, ...]:
        sql = f"select * from {TABLES[kind]} where workflow_id = ? order by {order}"  # noqa: S608 (names of our own)
        return tuple(record_of(kind, row) for row in self._rows(sql, workflow))
