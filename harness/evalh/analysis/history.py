"""What was measured of a suite over time: each content of a version on each model, where its newest measurement stands.

A run that the log answered repeats what was measured before: it moves no point, and adds none.
"""

from collections import Counter
from collections.abc import Iterable

from msgspec.structs import replace

from evalh.analysis.tradeoff import MeasuredRun, counted_alike, has_rate, identity, measured_by, names_of, run_tag
from evalh.core.log import RunRow
from evalh.core.run import RunStatus
from evalh.core.values import Value

MOST = 60
"""As many moments as a picture holds: the newest."""


class Moment(MeasuredRun, kw_only=True):
    """One content on one model: the newest run that asked for its answers."""

    @property
    def place(self) -> tuple[str, str, str]:
        """What models are measured side by side on: a version's content at a commit."""
        return self.version, self.record.fingerprint.prompt, self.commit

    @property
    def commit(self) -> str:
        """The commit's first letters; a star says that the tree held uncommitted changes. Empty: no commit."""
        return f"{self.record.commit[:7]}{'*' if self.record.dirty else ''}" if self.record.commit else ""

    @property
    def mark(self) -> str:
        """What tells it from others of its version: the commit, or the end of the run's id where that is the same."""
        return self.tag or self.commit


class History(Value, kw_only=True):
    """The moments that can be compared with a run, oldest first."""

    moments: tuple[Moment, ...]
    repeated: int  # other runs of the same contents
    older: int  # moments before the first that is kept

    @property
    def models(self) -> tuple[str, ...]:
        """Every model or route, in the order in which they were first asked."""
        return tuple(dict.fromkeys(moment.record.model for moment in self.moments))


def history(runs: Iterable[RunRow], here: RunRow) -> History:
    """Order what the same cases, graders and number of trials measured. `runs` come newest first."""
    runs = list(runs)
    chosen: dict[tuple[str, ...], RunRow] = {}
    repeated = 0
    for run in {one.record.id: one for one in (here, *runs)}.values():
        if run.status is not RunStatus.COMPLETE or not has_rate(run):
            continue
        if measured_by(run) != measured_by(here) or not counted_alike(run, here):
            continue
        key = identity(run)
        repeated += key in chosen
        if key not in chosen or _measured_later(run, chosen[key]):
            chosen[key] = run
    names = names_of([here, *runs])
    ordered = sorted(chosen.values(), key=lambda run: (run.record.started_at, run.record.id))
    moments = [Moment(run=run, here=identity(run) == identity(here), names=names[identity(run)]) for run in ordered]
    places = Counter((moment.version, moment.record.model, moment.commit) for moment in moments)
    tagged = (
        replace(one, tag=run_tag(one.record))
        if places[one.version, one.record.model, one.commit] > 1 or not one.names
        else one
        for one in moments[-MOST:]
    )
    return History(moments=tuple(tagged), repeated=repeated, older=max(0, len(ordered) - MOST))


def _measured_later(run: RunRow, than: RunRow) -> bool:
    """Whether a run is the better witness of its content: it is measured, or it asked, or it asked later.

    Each counts only if the other run does not have it.
    """
    for has in (_is_measured, _asked):
        if has(run) != has(than):
            return has(run)
    mine = _asked(run)
    newer = run.record.started_at > than.record.started_at
    return newer if mine else not newer  # of replays the first


def _is_measured(run: RunRow) -> bool:
    return run.summary is not None and not run.record.unmeasured(run.summary)


def _asked(run: RunRow) -> bool:
    """Whether a run asked for an answer itself. The log answered the others: they repeat an earlier measurement."""
    return run.summary is not None and run.summary.cache_hits < run.summary.calls
