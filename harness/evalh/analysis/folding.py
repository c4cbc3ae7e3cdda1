"""Which runs stand in a list: one row for equal results, and under it the runs that other verbs made."""

from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from evalh.core.log import RunRow
from evalh.core.run import RunKind, RunStatus


class FoldedRun(Struct, kw_only=True):
    """A row of the list: a run, the runs with the same answers, and those that a comparison or a gate added."""

    run: RunRow
    same: list[RunRow] = field(default_factory=list)
    added: list[RunRow] = field(default_factory=list)  # of the same version and model


class Folded(Struct):
    """A list of runs, newest first; `loose` are of versions and models that nobody ran or compared."""

    rows: list[FoldedRun]
    loose: list[FoldedRun]


def fold(runs: Iterable[RunRow]) -> Folded:
    """Fold runs of any kind. Those of `evalh run` have rows; others stand under the row of their version and model.

    The sides of a comparison have a row where nobody ran that version on that model by itself.

    A run that asked no model, and has the version, model, cases, graders and counts of one before it, shows the same
    answers again: they came from the log.
    """
    ordered = sorted(runs, key=lambda run: (run.record.started_at, run.record.id))
    entries: list[list[RunRow]] = []
    newest: dict[tuple[object, ...], list[RunRow]] = {}
    for run in ordered:
        key = _content(run)
        entry = newest.get(key)
        if entry is not None and _from_the_log(run):
            entry.append(run)
        else:
            entry = newest[key] = [run]
            entries.append(entry)
    asked = [entry for entry in entries if any(_asked(run) for run in entry)]
    known = {_version(entry[0]) for entry in asked}
    asked += [entry for entry in entries if _version(entry[0]) not in known and any(map(_compared, entry))]
    rows = {id(entry): _row(entry) for entry in asked}
    homes = {_version(entry[0]): rows[id(entry)] for entry in asked}
    loose: list[FoldedRun] = []
    for entry in entries:
        if id(entry) in rows:
            continue
        home = homes.get(_version(entry[0]))
        if home is None:
            loose.append(_row(entry))
        else:
            home.added += entry
    return Folded(_newest_first(rows.values()), _newest_first(loose))


def _content(run: RunRow) -> tuple[object, ...]:
    record, summary = run.record, run.summary
    counts = None if summary is None else (summary.samples, summary.good, summary.bad, summary.ungraded)
    return record.suite, record.prompt.rpartition(":")[2], record.model, record.fingerprint, record.trials, counts


def _version(run: RunRow) -> tuple[object, ...]:
    prints = run.record.fingerprint
    return run.record.suite, prints.prompt, run.record.model, prints.model, prints.route


def _asked(run: RunRow) -> bool:
    return run.record.kind is RunKind.RUN


def _compared(run: RunRow) -> bool:
    return run.record.kind is RunKind.COMPARE


def _from_the_log(run: RunRow) -> bool:
    return run.status is RunStatus.COMPLETE and run.summary is not None and run.summary.attempts == 0


def _row(entry: Sequence[RunRow]) -> FoldedRun:
    """Make a row of runs with the same answers: the newest that a person asked for stands for all."""
    run = next((run for run in reversed(entry) if _asked(run)), entry[-1])
    return FoldedRun(run=run, same=[other for other in entry if other is not run])


def _newest_first(rows: Iterable[FoldedRun]) -> list[FoldedRun]:
    return sorted(rows, key=lambda row: (row.run.record.started_at, row.run.record.id), reverse=True)
