"""`evalh run --watch`: waits until a file of the workspace is saved, and says what an update changed."""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from evalh.api.parts import Parts
from evalh.core.errors import EvalhError
from evalh.core.values import Value

Saved: TypeAlias = Mapping[str, tuple[int, int]]
"""Files of a workspace: when each was saved, in nanoseconds, and its size."""

Standings: TypeAlias = Mapping[tuple[str, int], str]
"""What the samples of a run are, by case and trial."""

_SUFFIXES = (".prompt", ".yaml", ".yml", ".toml", ".jsonl", ".csv", ".json", ".py", ".txt", ".md")
_NOT_WATCHED = frozenset({"__pycache__", "node_modules", "reports", "logs", "site-packages"})
_MOST_FILES = 20_000
_EVERY_S = 0.25


class Shift(Value):
    """What the newest run of a prompt and model changed against the one before it."""

    prompt: str
    model: str
    better: tuple[str, ...]  # cases
    worse: tuple[str, ...]


def saved(root: Path) -> Saved:
    """Return the files that a run may read. Folders of tools, hidden ones and reports are left out."""
    found: dict[str, tuple[int, int]] = {}
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in _NOT_WATCHED)
        for name in names:
            if not name.endswith(_SUFFIXES) or name.startswith("."):
                continue
            try:
                state = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 (a walk is text; a Path each costs)
            except OSError:  # an editor is replacing it
                continue
            found[f"{folder}/{name}"] = state.st_mtime_ns, state.st_size
            if len(found) >= _MOST_FILES:
                return found
    return found


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


def shifts(parts: Parts, since: str | None) -> tuple[list[Shift], str | None]:
    """Compare each run after the run `since` with the one before it of the same suite, prompt and model.

    Returns them with the id of the newest run. A log that cannot be read has none.
    """
    try:
        runs = parts.log.runs(100)
        found = []
        for place, run in enumerate(runs):
            record = run.record
            if record.id == since:
                break
            same = (one.record for one in runs[place + 1 :])
            label = (record.suite, record.prompt, record.model)
            earlier = next((one for one in same if (one.suite, one.prompt, one.model) == label), None)
            if earlier is not None and since is not None:
                found.append(_shift(parts, record.prompt, record.model, earlier.id, record.id))
        return found, runs[0].record.id if runs else since
    except EvalhError:
        return [], since


def _shift(parts: Parts, prompt: str, model: str, base: str, head: str) -> Shift:
    before, after = _standings(parts, base), _standings(parts, head)
    both = [(key[0], before[key], standing) for key, standing in after.items() if before.get(key, standing) != standing]
    return Shift(prompt, model, tuple(_unique(both, "good")), tuple(_unique(both, "bad")))


def _standings(parts: Parts, run_id: str) -> Standings:
    return {(one.case_id, one.trial): str(one.standing) for one in parts.log.results(run_id)}


def _unique(both: list[tuple[str, str, str]], standing: str) -> Iterator[str]:
    yield from dict.fromkeys(case for case, _, now in both if now == standing)
