"""A run as it happened, sample by sample: what `export otel` sends."""

from collections.abc import Callable, Iterator
from itertools import groupby
from sqlite3 import Row
from typing import Any

from evalh.core.log import CallRow, SampleRow, TracedSample
from evalh.store.columns import restored, stored

# Calls come grouped by the sample that they were made for. A call whose first attempt has not ended, because its
# process died, has attempts and no row of its own. SQLite sorts on disk what does not fit: ids, not answers.
_CALLS = """select * from (select id, case_id, trial from calls where id > :run || ':' and id < :run || ';'
union all
select distinct call_id, case_id, trial from attempts a
  where a.id > :run || ':' and a.id < :run || ';' and not exists (select 1 from calls c where c.id = a.call_id))
order by case_id, trial, length(id), id"""

Stream = Callable[..., Iterator[Row]]
OneCall = Callable[[str], CallRow | None]
OneSample = Callable[[Row], SampleRow]


def traced(stream: Stream, one_call: OneCall, with_verdicts: OneSample, run_id: str) -> Iterator[TracedSample]:
    """Yield every sample of a run with all its calls, and the calls of samples that were cut off, one at a time."""

    def key(row: Row) -> tuple[Any, ...]:
        return row["case_id"], row["trial"]

    for (case_id, trial), rows in groupby(stream(_CALLS, {"run": run_id}), key):
        calls = (one_call(row["id"]) for row in rows)
        found = list(stream("select * from samples where id = ?", f"{run_id}/{case_id}/{trial}"))
        yield TracedSample(
            case_id=restored(case_id),
            trial=trial,
            sample=with_verdicts(found[0]) if found else None,
            calls=tuple(call for call in calls if call is not None),
        )


def planned(stream: Stream, run_id: str) -> int | None:
    """Return how many samples a run was to have; None: the log does not hold that run."""
    rows = list(stream("select planned from runs where id = ?", stored(run_id)))
    return rows[0]["planned"] if rows else None
