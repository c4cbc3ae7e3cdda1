"""Which version on which model: what a good output costs, how often the output is good, and what to make of it.

Versions of the same content are one: a draft that equals v3 was not measured twice.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from evalh.core.log import RunRow
from evalh.core.run import Estimate, RunRecord, RunStatus, RunSummary
from evalh.core.values import Value

_DRAFT = "draft"
_NAMES = 2  # of one content, in a label


class MeasuredRun(Value, kw_only=True):
    """A run that came to its numbers."""

    run: RunRow
    here: bool  # the run that the report is about, or one of the same content
    names: tuple[str, ...] = ()  # of the versions that have this content; empty: a draft's that was edited since
    tag: str = ""  # the end of the run's id, where another one has the same label, or the draft was edited since

    @property
    def record(self) -> RunRecord:
        """The runs."""
        return self.run.record

    @property
    def summary(self) -> RunSummary:
        """Its numbers."""
        assert self.run.summary is not None
        return self.run.summary

    @property
    def measured(self) -> bool:
        """Whether no more samples are ungraded than the suite allows. Else its numbers say too little to choose by."""
        return not self.record.unmeasured(self.summary)

    @property
    def rate(self) -> float:
        """Its good rate; 0 if unknown."""
        return self.summary.good_rate.value or 0.0

    @property
    def version(self) -> str:
        """`v3`, or `v3 = draft`: the prompt's name goes without saying in one suite."""
        return " = ".join(self.names[:_NAMES]) or version_name(self.record)


class Point(MeasuredRun, kw_only=True):
    """One version on one model or route, as its newest finished run measured it."""

    front: bool  # measured and priced, and no other is both cheaper per good output and good more often

    @property
    def label(self) -> str:
        """`v3 on small`; with the end of the run's id where two would be the same."""
        return f"{self.version} on {self.record.model}{f' ({self.tag})' if self.tag else ''}"


class TradeOff(Value, kw_only=True):
    """All versions and models of one suite that were measured by the same cases and graders."""

    points: tuple[Point, ...]  # best rate first
    left_out: int  # runs that other cases, graders or numbers of trials measured

    @property
    def measured(self) -> tuple[Point, ...]:
        """The points without too many ungraded samples, best rate first."""
        return tuple(point for point in self.points if point.measured)

    @property
    def front(self) -> tuple[Point, ...]:
        """The points worth choosing from, cheapest first."""
        front = (point for point in self.points if point.front)
        return tuple(sorted(front, key=lambda point: point.summary.cost_per_good or 0.0))


def trade_off(runs: Iterable[RunRow], here: RunRow) -> TradeOff:
    """Take the newest complete run of every version, model and route that `here` can be compared with.

    `runs` come newest first. A run that is not complete is not a point: it may have met only the easy cases.
    """
    chosen: dict[tuple[str, ...], RunRow] = {identity(here): here} if here.status is RunStatus.COMPLETE else {}
    left_out = 0
    runs = list(runs)
    for run in runs:
        if run.summary is None or run.status is not RunStatus.COMPLETE:
            continue
        if measured_by(run) != measured_by(here) or not counted_alike(run, here):
            left_out += 1
        else:
            chosen.setdefault(identity(run), run)
    names = names_of([here, *runs])
    measured = [
        MeasuredRun(run=run, here=run.record.id == here.record.id, names=names[identity(run)])
        for run in chosen.values()
        if has_rate(run)
    ]
    best = sorted(measured, key=lambda one: (-one.rate, one.summary.cost_per_good or 0.0, one.record.id))
    points = [Point(run=one.run, here=one.here, names=one.names, front=_on_front(one, measured)) for one in best]
    seen = Counter(point.label for point in points)
    tagged = (replace(one, tag=run_tag(one.record)) if seen[one.label] > 1 or not one.names else one for one in points)
    return TradeOff(points=tuple(tagged), left_out=left_out)


def names_of(runs: Iterable[RunRow]) -> Mapping[tuple[str, ...], tuple[str, ...]]:
    """Return the names of versions by content, model and route: frozen ones first, the draft last.

    A draft is edited, and its older runs had other contents: only the content of its newest run is called draft.
    """
    found: dict[tuple[str, ...], set[str]] = defaultdict(set)
    drafts: dict[str, RunRow] = {}
    for run in runs:
        name = version_name(run.record)
        found[identity(run)].add(name)
        if _is_draft(name) and (name not in drafts or _when(run) > _when(drafts[name])):
            drafts[name] = run
    now = {name: run.record.fingerprint.prompt for name, run in drafts.items()}
    current = {key: [name for name in names if now.get(name, key[0]) == key[0]] for key, names in found.items()}
    return {key: tuple(sorted(names, key=lambda one: (_is_draft(one), one))) for key, names in current.items()}


def _is_draft(version: str) -> bool:
    return version.partition("[")[0] == _DRAFT  # of draft[read@v2]: draft


def _when(run: RunRow) -> tuple[float, str]:
    return run.record.started_at, run.record.id


def version_name(record: RunRecord) -> str:
    """Return `v3` of `triage@v3`."""
    return record.prompt.partition("@")[2] or record.prompt


def run_tag(record: RunRecord) -> str:
    """Return the end of a run's id, by which a reader finds it."""
    return record.id.rpartition("-")[2]


def has_rate(run: RunRow) -> bool:
    """Whether a run came to a good rate."""
    return run.summary is not None and run.summary.good_rate.value is not None


def measured_by(run: RunRow) -> tuple[object, ...]:
    """Return what two runs must share to be compared: cases, graders, trials."""
    prints = run.record.fingerprint
    return prints.dataset, prints.graders, run.record.trials


def counted_alike(one: RunRow, other: RunRow) -> bool:
    """Whether both leave incidents out of the rate, or there are none; an older evalh had them in it."""
    known = [run.summary for run in (one, other) if run.summary is not None]
    return not (any(each.incidents is None for each in known) and any(each.apart.samples for each in known))


def identity(run: RunRow) -> tuple[str, ...]:
    """Return which content on which model or route was run, whatever it was called and whichever commit had it."""
    prints = run.record.fingerprint
    return prints.prompt, run.record.model, prints.model, prints.route


def _on_front(one: MeasuredRun, others: Sequence[MeasuredRun]) -> bool:
    cost, rate = one.summary.cost_per_good, one.rate
    if cost is None or not one.measured:
        return False
    rivals = [other for other in others if other.measured]
    priced = ((theirs, other.rate) for other in rivals if (theirs := other.summary.cost_per_good) is not None)
    return not any(theirs <= cost and good >= rate and (theirs, good) != (cost, rate) for theirs, good in priced)


def apart(one: Point, other: Point) -> bool:
    """Return whether the intervals of two good rates do not touch. They may touch and the difference be real."""
    first, second = one.summary.good_rate, other.summary.good_rate
    low, high = (first, second) if (first.value or 0) <= (second.value or 0) else (second, first)
    return high.low is not None and low.high is not None and high.low > low.high


def finite(estimate: Estimate) -> tuple[float, float, float] | None:
    """Return (low, value, high) where all three are known and finite."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    return estimate.low, estimate.value, estimate.high
