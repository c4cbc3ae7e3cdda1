"""What a viewer asks of the log: what is in it, how a run under way stands, and whether a page is still true."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from sqlite3 import Row

from evalh.core.case import ties
from evalh.core.digest import digest
from evalh.core.log import ComparisonRow, GateRow, RunRow
from evalh.core.money import from_stored
from evalh.core.underway import CaseTally
from evalh.core.values import Value
from evalh.store.columns import read_instant, read_json, restored, restored_or_none, stored
from evalh.store.database import FILE
from evalh.store.restore import comparison_from, run_from

Stream = Callable[..., Iterator[Row]]

# A sample's id is <run>/<case>/<trial>: a run's samples are a range of the primary key. A sum that lacks a part is
# null.
_CASES = """select count(*) as samples, sum(standing = 'good') as good, sum(standing = 'bad') as bad,
  sum(cache_hit or (answered_by is not null and attempts = 0)) as hits,
  case when count(*) = count(cost_usd) then sum(cost_usd) end as spent_usd,
  case when count(*) = count(cost_usd + cached_cost_usd) then sum(cost_usd + cached_cost_usd) end as task_usd,
  group_concat(error_kind) as errors,
  (select c.cluster from cases c where c.id = case_id and c.digest = case_digest) as cluster,
  (select c.inputs from cases c where c.id = case_id and c.digest = case_digest) as inputs
from samples where id > :run || '/' and id < :run || '0' group by case_index"""
# Without what was sent and by what it was judged: a thousand rows are read at once.
_RUNS = """select id, suite, prompt, prompt_digest, model, model_sent, status, reason, started_at, finished_at, planned,
  trials, owner, git_commit, git_dirty, evalh_version, max_ungraded, fingerprint_prompt, fingerprint_dataset,
  fingerprint_graders, fingerprint_model, fingerprint_route, selection, '{}' as settings, null as graders,
  null as content, summary from runs order by started_at desc, id desc limit ?"""
# Without its content, which holds every case that changed.
_COMPARISONS = """select id, at, suite, base, head, base_model, head_model, base_run, head_run, verdict, comparable, n,
  wins, losses, difference, low, high, p_value, '' as content from comparisons order by at desc, id desc limit ?"""
_GATES = "select * from gates where ? is null or id = ? order by at desc, id desc limit ?"
_STATE = """select id, status, finished_at, length(summary) as summary,
  case when status = 'running' then (select count(*) from samples s where s.id > r.id || '/' and s.id < r.id || '0')
  end as samples from runs r where suite = ? order by id"""


class Overview(Value):
    """What the log holds, newest first."""

    runs: Sequence[RunRow]
    runs_in_all: int
    comparisons: Sequence[ComparisonRow]
    gates: Sequence[GateRow]


def run_rows(stream: Stream, most: int) -> list[RunRow]:
    """Return the newest runs; what they sent and what judged them is left out."""
    return [run_from(row) for row in stream(_RUNS, most)]


def count_runs(stream: Stream) -> int:
    """Count the runs."""
    return int(next(stream("select count(*) from runs"))[0])


def comparison_rows(stream: Stream, most: int) -> list[ComparisonRow]:
    """Return the newest comparisons; their `content` is empty."""
    return [comparison_from(row) for row in stream(_COMPARISONS, most)]


def gate_rows(stream: Stream, gate_id: str | None, most: int) -> list[GateRow]:
    """Return the newest decisions of gates, or the one with this id."""
    return [_gate(row) for row in stream(_GATES, gate_id, gate_id, most)]


def _gate(row: Row) -> GateRow:
    return GateRow(
        id=row["id"],
        at=read_instant(row["at"]),
        base=restored(row["base"]),
        head=restored(row["head"]),
        merge_base=restored_or_none(row["merge_base"]),
        decision=row["decision"],
        exit=row["exit"],
        reasons=restored(row["reasons"]),
        content=restored(row["content"]),
    )


def case_tallies(stream: Stream, run_id: str) -> Iterator[CaseTally]:
    """Yield each case of a run, in the dataset's order."""
    for row in stream(_CASES, {"run": run_id}):
        yield CaseTally(
            samples=row["samples"],
            good=row["good"],
            bad=row["bad"],
            hits=row["hits"],
            spent_usd=from_stored(row["spent_usd"]),
            task_usd=from_stored(row["task_usd"]),
            errors=Counter(row["errors"].split(",")) if row["errors"] else {},
            ties=ties(
                restored_or_none(row["cluster"]), None if row["inputs"] is None else digest(read_json(row["inputs"]))
            ),
        )


def suite_state(stream: Stream, suite: str) -> str:
    """Digest the runs of a suite: which there are, how they ended, how far those under way are."""
    state = sha256()
    for row in stream(_STATE, stored(suite)):
        state.update(repr(tuple(row)).encode())
    return state.hexdigest()


def stamp(folder: Path) -> object:
    """Return what differs as soon as anything was written: when and how large the store's files are."""
    found: list[tuple[int, int, int] | None] = []
    for name in (FILE, f"{FILE}-wal"):
        try:
            state = (folder / name).stat()
        except OSError:
            found.append(None)
        else:
            found.append((state.st_ino, state.st_mtime_ns, state.st_size))
    return found
