"""What was measured of a suite over time: every version and model at every commit, as its newest run there saw it."""

from collections.abc import Iterable

from evalh.analysis.tradeoff import MeasuredRun, has_rate, identity, measured_by
from evalh.core.log import RunRow
from evalh.core.run import RunStatus
from evalh.core.values import Value

MOST = 60
"""As many moments as a picture holds: the newest."""


class Moment(MeasuredRun, kw_only=True):
    """One version on one model at one commit."""

    @property
    def place(self) -> tuple[str, str, str]:
        """What models are measured side by side on: a version's content at a commit."""
        return self.version, self.record.fingerprint.prompt, self.commit

    @property
    def commit(self) -> str:
        """The commit's first letters; a star says that the tree held uncommitted changes. Empty: no commit."""
        return f"{self.record.commit[:7]}{'*' if self.record.dirty else ''}" if self.record.commit else ""


class History(Value, kw_only=True):
    """The moments that can be compared with a run, oldest first."""

    moments: tuple[Moment, ...]
    repeated: int  # runs of the same content at the same commit: the newest stands for them
    older: int  # moments before the first that is kept

    @property
    def models(self) -> tuple[str, ...]:
        """Every model or route, in the order in which they were first asked."""
        return tuple(dict.fromkeys(moment.record.model for moment in self.moments))


def history(runs: Iterable[RunRow], here: RunRow) -> History:
    """Order what the same cases, graders and number of trials measured. `runs` come newest first."""
    chosen: dict[tuple[object, ...], RunRow] = {}
    repeated = 0
    for run in (here, *runs):
        finished = run.status is RunStatus.COMPLETE or run.record.id == here.record.id
        if not finished or not has_rate(run) or measured_by(run) != measured_by(here):
            continue
        key = (*identity(run), run.record.commit, run.record.dirty)
        if key not in chosen:
            chosen[key] = run
        elif chosen[key].record.id != run.record.id:
            repeated += 1
    ordered = sorted(chosen.values(), key=lambda run: (run.record.started_at, run.record.id))
    moments = tuple(Moment(run=run, here=run.record.id == here.record.id) for run in ordered[-MOST:])
    return History(moments=moments, repeated=repeated, older=max(0, len(ordered) - MOST))
