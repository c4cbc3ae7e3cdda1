"""Sums over rows: decisions and their cost, spending in groups, the cases of a run, a suite's state."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from sqlite3 import Row

from evalh.core.attempt import CallKey
from evalh.core.case import ties
from evalh.core.digest import digest
from evalh.core.log import CaseTally, FirstAnswer
from evalh.core.money import from_stored
from evalh.core.sample import Standing
from evalh.core.totals import DecisionTally, Spend, SpendBy, SpendPart, Tallies
from evalh.store.columns import read_json, restored, restored_or_none, stored
from evalh.store.log_reader import LogReader
from evalh.store.restore import case_from, completion_from

# The reason of an attempt names the decision that led to it.
_LED_TO = {"retry": "retry", "repair": "repair", "fallback": "fallback", "escalate": "escalation"}

_RUNS = "select value from json_each(:runs)"
_DECISIONS = f"""select d.kind, count(*) as taken,
  count(distinct d.call_id) filter (where c.answered_by is not null) as ok
from decisions d left join calls c on c.id = d.call_id where d.run_id in ({_RUNS}) group by d.kind"""  # noqa: S608 (ours)
_ATTEMPTS = f"""select reason, case when count(*) = count(cost_usd) then sum(cost_usd) end as usd
from attempts where run_id in ({_RUNS}) group by reason"""  # noqa: S608
_ERRORS = f"""select error_kind, count(*) as n from attempts
where run_id in ({_RUNS}) and error_kind is not null group by error_kind"""  # noqa: S608
_UNANSWERED = f"""select error_kind, count(*) as n from samples
where run_id in ({_RUNS}) and error_kind is not null group by error_kind"""  # noqa: S608
# A route whose requests were all answered from the log sent nothing: another run paid for its decisions.
_REPLAYED = f"""select kind, count(*) as taken,
  case when count(*) = count(usd) then sum(usd) end as usd
from (select distinct d.kind, d.call_id, (select cost_usd from attempts where id = c.answered_by) as usd
  from decisions d join calls c on c.id = d.call_id
  where d.run_id in ({_RUNS}) and c.attempts = 0) group by kind"""  # noqa: S608
_CALLS = f"""select count(*) filter (where not from_log) as sent, count(*) filter (where from_log) as hits
from (select cache_hit or (answered_by is not null and attempts = 0) as from_log, run_id, purpose from calls)
where run_id in ({_RUNS}) and purpose = 'task'"""  # noqa: S608
_STOPPED = f"select count(*) as n from runs where id in ({_RUNS}) and status = 'stopped'"  # noqa: S608

_FIRST = f"""select r.suite, coalesce(n.settings, r.settings) as settings, s.standing,
  k.id, k.inputs, k.expected, k.tags, k.cluster, k.given, k.graders, a.*
from decisions d
join calls c on c.id = d.call_id
join runs r on r.id = d.run_id
left join run_steps n on n.run_id = d.run_id and n.step = c.step
join samples s on s.call_id = c.id
join cases k on k.id = s.case_id and k.digest = s.case_digest
join attempts a on a.id = json_extract(d.detail, '$.answer')
where d.kind = 'escalate' and d.run_id in ({_RUNS})"""  # noqa: S608

_NOBODY = "(no owner)"

# Attempts and answers from the log have their group in different columns. Calls of pairwise judges have no run.
_GROUPS = {
    SpendBy.SUITE: ("case when r.id is null then '(comparisons)' else r.suite end", "r.suite"),
    SpendBy.OWNER: ("case when r.id is null then '(comparisons)' else r.owner end", "r.owner"),
    SpendBy.MODEL: ("a.model", "coalesce((select model from attempts where id = c.answered_by), r.model)"),
    SpendBy.PURPOSE: ("a.purpose", "c.purpose"),
    SpendBy.VERSION: ("case when r.id is null then '(comparisons)' else r.prompt end", "r.prompt"),
}
_SPENT = """select {group} as grouped, a.purpose, a.reason, count(*) as attempts,
  count(*) - count(a.cost_usd) as unpriced, total(a.cost_usd) as usd,
  total(a.cost_usd) filter (where a.estimated) as estimated
from attempts a left join runs r on r.id = a.run_id where a.started_at >= ? group by 1, 2, 3"""
_SAVED = """select {group} as grouped, count(*) as hits,
  case when count(*) = count(c.cached_cost_usd) then total(c.cached_cost_usd) end as usd
from calls c join runs r on r.id = c.run_id where c.cache_hit and r.started_at >= ? group by 1"""

# A sample's id is <run>/<case>/<trial>: a run's samples are a range of the primary key. A sum with a missing part is
# null.
_CASES = """select count(*) as samples, sum(standing = 'good') as good, sum(standing = 'bad') as bad,
  sum(cache_hit or (answered_by is not null and attempts = 0)) as hits,
  case when count(*) = count(cost_usd) then sum(cost_usd) end as spent_usd,
  case when count(*) = count(cost_usd + cached_cost_usd) then sum(cost_usd + cached_cost_usd) end as task_usd,
  group_concat(error_kind) as errors,
  (select c.cluster from cases c where c.id = case_id and c.digest = case_digest) as cluster,
  (select c.inputs from cases c where c.id = case_id and c.digest = case_digest) as inputs,
  (select c.tags from cases c where c.id = case_id and c.digest = case_digest) as tags
from samples where id > :run || '/' and id < :run || '0' group by case_index"""
_STATE = """select id, status, finished_at, length(summary) as summary,
  case when status = 'running' then (select count(*) from samples s where s.id > r.id || '/' and s.id < r.id || '0')
  end as samples from runs r where suite = ? order by id"""


_STEP_DECISIONS = """select kind, json_extract(detail, '$.step') as step, count(*) as taken from decisions
where run_id in (select value from json_each(:runs)) and kind in ('stop', 'continue', 'review') group by 1, 2"""


class TotalsReader(LogReader):
    """Counts and sums over the log."""

    def step_decisions(self, run_ids: Sequence[str]) -> Mapping[tuple[str, str], int]:
        """Count what pipelines did about steps that failed a check, by (what they did, step)."""
        rows = self._rows(_STEP_DECISIONS, {"runs": json.dumps(list(run_ids))})
        return {(row["kind"], restored(row["step"])): row["taken"] for row in rows}

    def tallies(self, run_ids: Sequence[str]) -> Tallies:
        """Count the decisions of these runs, with their costs."""
        runs = {"runs": json.dumps(list(run_ids))}
        usd = {row["reason"]: from_stored(row["usd"]) for row in self._rows(_ATTEMPTS, runs)}
        replayed = {row["kind"]: (row["taken"], from_stored(row["usd"])) for row in self._rows(_REPLAYED, runs)}
        decisions = {
            row["kind"]: DecisionTally(
                row["taken"],
                usd.get(_LED_TO.get(row["kind"], ""), Decimal(0)),
                row["ok"],
                *replayed.get(row["kind"], (0, Decimal(0))),
            )
            for row in self._rows(_DECISIONS, runs)
        }
        calls = self._rows(_CALLS, runs)[0]
        return Tallies(
            runs=len(run_ids),
            calls=calls["sent"],
            from_log=calls["hits"],
            stopped=self._rows(_STOPPED, runs)[0]["n"],
            decisions=decisions,
            errors={row["error_kind"]: row["n"] for row in self._rows(_ERRORS, runs)},
            unanswered={row["error_kind"]: row["n"] for row in self._rows(_UNANSWERED, runs)},
        )

    def first_answers(self, run_ids: Sequence[str]) -> Iterator[FirstAnswer]:
        """Yield the first models' answers of cascades that escalated."""
        for row in self._stream(_FIRST, {"runs": json.dumps(list(run_ids))}):
            case = case_from(row)
            yield FirstAnswer(
                suite=restored(row["suite"]),
                case=case,
                completion=completion_from(row),
                output_schema=read_json(row["settings"]).get("output_schema"),
                standing=Standing(row["standing"]),
                key=CallKey(case.id, row["trial"], restored_or_none(row["step"]), row["draw"]),
            )

    def spending(self, by: SpendBy, since: str) -> list[Spend]:
        """Sum what every attempt since an instant (UTC, as the log writes it) cost; the most expensive group first."""
        attempts, hits = (sql.format(group=group) for sql, group in zip((_SPENT, _SAVED), _GROUPS[by], strict=True))
        spent: defaultdict[str | None, list[Row]] = defaultdict(list)
        for row in self._rows(attempts, since):
            spent[row["grouped"]].append(row)
        saved = {row["grouped"]: row for row in self._rows(hits, since)}
        lines = [_line(group, spent[group], saved.get(group)) for group in spent.keys() | saved.keys()]
        return sorted(lines, key=lambda line: (-line.priced_usd, line.group))

    def case_tallies(self, run_id: str) -> Iterator[CaseTally]:
        """Yield the state of each case of a run so far, in dataset order."""
        for row in self._stream(_CASES, {"run": run_id}):
            inputs = None if row["inputs"] is None else digest(read_json(row["inputs"]))
            yield CaseTally(
                **{name: row[name] for name in ("samples", "good", "bad", "hits")},
                spent_usd=from_stored(row["spent_usd"]),
                task_usd=from_stored(row["task_usd"]),
                errors=Counter(row["errors"].split(",")) if row["errors"] else {},
                ties=ties(restored_or_none(row["cluster"]), inputs),
                tags=frozenset() if row["tags"] is None else frozenset(read_json(row["tags"])),
            )

    def suite_state(self, suite: str) -> str:
        """Return a digest of the runs behind a suite's report: equal while the report would not change.

        It covers the runs, how they ended, and the progress of running ones.
        """
        state = sha256()
        for row in self._stream(_STATE, stored(suite)):
            state.update(repr(tuple(row)).encode())
        return state.hexdigest()


def _line(group: str | None, rows: list[Row], saved: Row | None) -> Spend:
    return Spend(
        group=_NOBODY if group is None else restored(group),
        attempts=sum(row["attempts"] for row in rows),
        by_purpose=_parts(rows, "purpose"),
        by_reason=_parts(rows, "reason"),
        estimated_usd=_usd(sum(row["estimated"] for row in rows)),
        from_log=0 if saved is None else saved["hits"],
        saved_usd=Decimal(0) if saved is None else from_stored(saved["usd"]),
    )


def _parts(rows: list[Row], column: str) -> dict[str, SpendPart]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[column]].append(row)
    return {
        name: SpendPart(_usd(sum(row["usd"] for row in part)), sum(row["unpriced"] for row in part))
        for name, part in found.items()
    }


def _usd(amount: float) -> Decimal:
    return from_stored(amount) or Decimal(0)
