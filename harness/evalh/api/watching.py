"""`evalh run --watch`: waits until a file of the workspace is saved, and says what an update changed."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import TypeAlias

from evalh.api.parts import Parts
from evalh.core.errors import EvalhError
from evalh.core.log import RunRow
from evalh.core.run import RunKind, RunResult, RunSummary
from evalh.core.values import Value

Saved: TypeAlias = Mapping[str, tuple[int, int]]
"""Files of a workspace: when each was saved, in nanoseconds, and its size."""

Standings: TypeAlias = Mapping[tuple[str, int], str]
"""What the samples of a run are, by case and trial."""

_SUFFIXES = (".prompt", ".yaml", ".yml", ".toml", ".jsonl", ".csv", ".json", ".py", ".txt", ".md")
_NOT_WATCHED = frozenset({"__pycache__", "node_modules", "reports", "logs", "site-packages"})
_MOST_FILES = 20_000
_EVERY_S = 0.25
_MOST_RUNS = 100  # of one save, and to look for the run before


class Update(Value, kw_only=True):
    """One run of a save, and what it changed against the run before it of the same suite, prompt and model."""

    result: RunResult
    before: RunSummary | None  # of the earlier run; None: there is none, or it ended early
    finished_at: float | None  # seconds since the epoch, UTC
    asked: int  # cases with an answer that was not in the log
    changed: Mapping[str, tuple[str, ...]]  # cases that both runs have, by their standing now


def saved(root: Path) -> Saved:
    """Return the files that a run may read. Folders of tools, hidden ones and reports are left out.

    The files that this process prints to are left out, too: `evalh run --watch > log.txt` would run without end.
    """
    found: dict[str, tuple[int, int]] = {}
    own = {(state.st_dev, state.st_ino) for state in _printed_to()}
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in _NOT_WATCHED)
        for name in names:
            if not name.endswith(_SUFFIXES) or name.startswith("."):
                continue
            try:
                state = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 (a walk is text; a Path each costs)
            except OSError:  # an editor is replacing it
                continue
            if (state.st_dev, state.st_ino) in own:
                continue
            found[f"{folder}/{name}"] = state.st_mtime_ns, state.st_size
            if len(found) >= _MOST_FILES:
                return found
    return found


def _printed_to() -> Iterator[os.stat_result]:
    for stream in (1, 2):
        with suppress(OSError):  # it is closed
            yield os.fstat(stream)


def next_save(root: Path, before: Saved) -> Saved:
    """Wait until a file differs, and then until nothing more is written: an editor may save in several steps."""
    now = saved(root)
    while now == before:
        time.sleep(_EVERY_S)
        now = saved(root)
    while True:
        time.sleep(_EVERY_S)
        again = saved(root)
        if again == now:
            return now
        now = again


def updates(parts: Parts, since: str | None) -> tuple[list[Update], str | None]:
    """Return what each run after the run `since` changed, the oldest first, with the id of the newest run.

    `since` is None: nothing, since what was before is not known. A log that cannot be read holds none.
    """
    try:
        runs = [run for run in parts.log.runs(_MOST_RUNS) if run.record.kind is RunKind.RUN]
        newer = list(takewhile(lambda run: run.record.id != since, runs)) if since is not None else []
        found = [_update(parts, run, runs[place + 1 :]) for place, run in enumerate(newer)]
        return found[::-1], runs[0].record.id if runs else since
    except EvalhError:
        return [], since


def _update(parts: Parts, run: RunRow, older: Sequence[RunRow]) -> Update:
    record = run.record
    label = (record.suite, record.prompt, record.model)
    same = (one for one in older if (one.record.suite, one.record.prompt, one.record.model) == label)
    earlier = next(same, None)
    was = {} if earlier is None else _standings(parts, earlier.record.id)
    asked: set[str] = set()
    changed: dict[str, dict[str, None]] = {}
    for sample in parts.log.samples(record.id):
        if not sample.cache_hit:
            asked.add(sample.case_id)
        if was.get((sample.case_id, sample.trial), sample.standing) != sample.standing:
            changed.setdefault(str(sample.standing), {})[sample.case_id] = None
    return Update(
        result=parts.log.result(record.id, failures=0),
        before=None if earlier is None else earlier.summary,
        finished_at=run.finished_at,
        asked=len(asked),
        changed={standing: tuple(cases) for standing, cases in changed.items()},
    )


def _standings(parts: Parts, run_id: str) -> Standings:
    return {(one.case_id, one.trial): str(one.standing) for one in parts.log.results(run_id)}
