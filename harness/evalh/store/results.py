"""A run's samples as they are compared: one question for the whole run."""

import json
from collections.abc import Callable, Iterator
from sqlite3 import Row

from evalh.core.digest import digest
from evalh.core.money import from_stored, plus
from evalh.core.result import SampleResult
from evalh.core.sample import Standing
from evalh.core.verdict import Outcome
from evalh.store.columns import read_json, restored, restored_or_none

# A sample's id is <run>/<case>/<trial>: a run's samples are a range of the primary key ('0' follows '/').
_RESULTS = """select s.case_id, s.case_digest, s.trial, s.standing, s.cost_usd, s.cached_cost_usd, s.latency_ms,
    s.waited_ms is not null and s.checks_ms is not null as latency_whole,
    s.output_digest, c.tags, c.cluster, c.inputs,
    (select json_group_array(json_array(v.grader, v.outcome, v.required)) from verdicts v where v.sample_id = s.id)
      as verdicts
  from samples s left join cases c on c.id = s.case_id and c.digest = s.case_digest
  where s.id > :run || '/' and s.id < :run || '0' order by s.case_index, s.trial"""


def results(stream: Callable[..., Iterator[Row]], run_id: str) -> Iterator[SampleResult]:
    """Yield a run's samples in the dataset's order."""
    return (_result(row) for row in stream(_RESULTS, {"run": run_id}))


def _result(row: Row) -> SampleResult:
    verdicts = json.loads(row["verdicts"])
    return SampleResult(
        case_id=restored(row["case_id"]),
        trial=row["trial"],
        standing=Standing(row["standing"]),
        cost_usd=plus(from_stored(row["cost_usd"]), from_stored(row["cached_cost_usd"])),
        latency_ms=row["latency_ms"],
        latency_whole=bool(row["latency_whole"]),
        output_digest=row["output_digest"],
        outcomes={restored(grader): Outcome(outcome) for grader, outcome, _ in verdicts},
        required=frozenset(restored(grader) for grader, _, required in verdicts if required),
        row_digest=row["case_digest"],
        tags=frozenset(read_json(row["tags"]) or ()),
        cluster=restored_or_none(row["cluster"]),
        inputs_digest=None if row["inputs"] is None else digest(read_json(row["inputs"])),
    )
