"""Pairing: two sides' samples, matched by case and trial.

A side comes from the log, from a committed baseline or from a run under way; all become `CaseResult`s here.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from math import fsum

from msgspec import field

from evalh.analysis.compare.comparison import Mismatch, Missing, SideName, listed
from evalh.analysis.compare.differing import Answering
from evalh.core.case import ties
from evalh.core.errors import WorkspaceError
from evalh.core.money import total
from evalh.core.run import Fingerprint
from evalh.core.sample import SampleResult, Standing
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.stats.clusters import ClusterSum, grouped

_SHOWN = 80  # characters of what a grader judges by


class CaseResult(Value):
    """One case on one side: its samples, a trial each, in the trials' order."""

    case_id: str
    samples: tuple[SampleResult, ...]

    @property
    def trials(self) -> int:
        """How many samples there are."""
        return len(self.samples)

    @property
    def goods(self) -> int:
        """How many of them are good."""
        return sum(sample.standing is Standing.GOOD for sample in self.samples)

    @property
    def ungraded(self) -> int:
        """How many of them are neither good nor bad."""
        return sum(sample.standing is Standing.UNGRADED for sample in self.samples)

    @property
    def flaky(self) -> bool:
        """Whether the trials disagree: some are good, some are bad."""
        return 0 < self.goods < self.trials - self.ungraded

    @property
    def cost_usd(self) -> Decimal | None:
        """What all samples cost; None if one is not priced."""
        return total(sample.cost_usd for sample in self.samples)

    @property
    def latency_ms(self) -> float | None:
        """The mean over the samples that say; None if none does."""
        known = [sample.latency_ms for sample in self.samples if sample.latency_ms is not None]
        return sum(known) / len(known) if known else None

    @property
    def latency_whole(self) -> bool:
        """Whether that is of whole latencies, not of last attempts alone."""
        return all(sample.latency_whole for sample in self.samples if sample.latency_ms is not None)

    @property
    def output_digests(self) -> tuple[str | None, ...]:
        """What came back, trial by trial: equal outputs have equal digests."""
        return tuple(sample.output_digest for sample in self.samples)

    @property
    def row_digest(self) -> str | None:
        """The digest of the case's row; None if unknown."""
        return self.samples[0].row_digest

    @property
    def tags(self) -> frozenset[str]:
        """The case's tags."""
        return self.samples[0].tags

    @property
    def incident(self) -> bool:
        """Whether it is counted apart from the good rate."""
        return self.samples[0].incident

    @property
    def ties(self) -> tuple[tuple[str, str], ...]:
        """What ties the case to others: the cluster that its row names, and its inputs."""
        return ties(self.samples[0].cluster, self.samples[0].inputs_digest)


class Results(Value, kw_only=True):
    """One side, whole. `graders` are (name, required), in the suite's order; `cases` in the dataset's."""

    suite: str
    prompt: str
    model: str
    fingerprint: Fingerprint
    trials: int
    graders: tuple[tuple[str, bool], ...]
    cases: Mapping[str, CaseResult]
    run: str | None = None
    max_ungraded: float = 0.02
    by_the_hour: bool = False  # a price per hour: costs depend on how busy the machine was
    judged_by: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)  # by grader; empty: unknown
    answering: Mapping[str, Answering] = field(default_factory=dict)  # by step; empty: unknown


class Pair(Value):
    """One case on both sides."""

    base: CaseResult
    head: CaseResult

    @property
    def case_id(self) -> str:
        """The case's id."""
        return self.head.case_id


def clustered(cases: Sequence[CaseResult]) -> list[list[int]]:
    """Return the places of the cases, cluster by cluster, in the order in which the clusters first appear."""
    members: dict[int, list[int]] = {}
    for place, number in enumerate(grouped(case.ties for case in cases)):
        members.setdefault(number, []).append(place)
    return list(members.values())


def unanswered(cases: Iterable[CaseResult]) -> int:
    """Count the samples to which no answer came."""
    samples = (sample for case in cases for sample in case.samples)
    return sum(one.standing is Standing.UNGRADED and one.output_digest is None for one in samples)


def cluster_sums(rates: Sequence[float], clusters: Sequence[Sequence[int]]) -> Counter[ClusterSum]:
    """Add up the rates of cases, cluster by cluster; `clusters` are as `clustered` returns them."""
    return Counter(ClusterSum(fsum(rates[place] for place in places), len(places)) for places in clusters)


def spending(cases: Sequence[CaseResult]) -> tuple[list[float], list[float]] | None:
    """Return what each cluster of cases cost in USD, and how many of its samples are good; None: not all priced."""
    costs = [case.cost_usd for case in cases]
    known = [float(cost) for cost in costs if cost is not None]
    if len(known) < len(costs):
        return None
    clusters = clustered(cases)
    spent = [fsum(known[place] for place in places) for places in clusters]
    return spent, [float(sum(cases[place].goods for place in places)) for places in clusters]


class Paired(Value, kw_only=True):
    """What both sides have, and what stands in the way of comparing it."""

    pairs: tuple[Pair, ...]
    incidents: tuple[Pair, ...]  # on either side: they were chosen because they failed, so no number is about them
    mismatches: tuple[Mismatch, ...]
    missing: tuple[Missing, ...]


def by_case(samples: Iterable[SampleResult]) -> dict[str, CaseResult]:
    """Gather samples by case, cases in the order in which they come first.

    Raises WorkspaceError if a trial comes twice: which of the two counts cannot be known.
    """
    gathered: dict[str, dict[int, SampleResult]] = {}
    for sample in samples:
        trials = gathered.setdefault(sample.case_id, {})
        if sample.trial in trials:
            raise WorkspaceError(
                f"case {sample.case_id!r} has trial {sample.trial} twice", hint="each case and trial is given once"
            )
        trials[sample.trial] = sample
    return {
        case_id: CaseResult(case_id, tuple(trials[trial] for trial in sorted(trials)))
        for case_id, trials in gathered.items()
    }


def pair(base: Results, head: Results) -> Paired:
    """Match the sides by case id, in head's order. Cases whose row differs are never paired.

    Nothing is refused here: what differs is named in `mismatches` and `missing`, and the caller decides. Costs, tags
    and trials of a pair are each side's own; a case mean is taken over the trials that its side has.
    """
    common = [case for case in head.cases if case in base.cases]
    changed = [case for case in common if _other_row(base.cases[case], head.cases[case])]
    parts: dict[bool, list[Pair]] = {True: [], False: []}
    others = set(changed)
    for case in common:
        if case not in others:
            found = Pair(base.cases[case], head.cases[case])
            parts[found.base.incident or found.head.incident].append(found)
    return Paired(
        pairs=tuple(parts[False]),
        incidents=tuple(parts[True]),
        mismatches=tuple(_mismatches(base, head, changed)),
        missing=tuple(_missing(base, head)),
    )


def _other_row(base: CaseResult, head: CaseResult) -> bool:
    return None not in (base.row_digest, head.row_digest) and base.row_digest != head.row_digest


def _mismatches(base: Results, head: Results, changed: list[str]) -> Iterator[Mismatch]:
    base_prints, head_prints = base.fingerprint, head.fingerprint
    if base_prints.dataset != head_prints.dataset or changed:
        only_base = [case for case in base.cases if case not in head.cases]
        only_head = [case for case in head.cases if case not in base.cases]
        parts = [
            f"{title}: {listed(cases, 5)}"
            for title, cases in (("changed", changed), ("only in base", only_base), ("only in head", only_head))
            if cases
        ]
        yield Mismatch(
            part="dataset",
            what=f"the dataset's rows differ ({'; '.join(parts) or 'in cases that were not run'})",
            base=base_prints.dataset,
            head=head_prints.dataset,
            cases=(*changed, *only_base, *only_head),
        )
    if base_prints.graders != head_prints.graders:
        yield Mismatch(
            part="graders",
            what=f"the graders differ ({_graders(base, head)})",
            base=base_prints.graders,
            head=head_prints.graders,
        )


def _graders(base: Results, head: Results) -> str:
    on_base, on_head = dict(base.graders), dict(head.graders)
    parts = [f"only in base: {name}" for name in on_base if name not in on_head]
    parts += [f"only in head: {name}" for name in on_head if name not in on_base]
    for name in on_base.keys() & on_head.keys():
        if on_base[name] != on_head[name]:
            parts.append(f"{name} is required only on {'base' if on_base[name] else 'head'}")
        elif (here := base.judged_by.get(name)) and (there := head.judged_by.get(name)) and here != there:
            parts += [
                f"{name}: {key} is {_short(here.get(key))} on base, {_short(there.get(key))} on head"
                for key in {**here, **there}
                if here.get(key) != there.get(key)
            ]
    return "; ".join(sorted(parts)) or "the same names, judging by other parameters"


def _short(value: JsonValue) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _missing(base: Results, head: Results) -> Iterator[Missing]:
    for case in {**head.cases, **base.cases}:
        for side, own, other in ((SideName.BASE, base, head), (SideName.HEAD, head, base)):
            here, there = own.cases.get(case), other.cases.get(case)
            have = {sample.trial for sample in here.samples} if here else set()
            # A side that planned fewer trials lacks none: case means may rest on different numbers of trials.
            wanted = {sample.trial for sample in there.samples if sample.trial < own.trials} if there else set()
            if wanted - have:
                yield Missing(case_id=case, absent_from=side, trials=tuple(sorted(wanted - have)))
