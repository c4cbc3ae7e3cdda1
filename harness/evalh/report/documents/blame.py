"""The documents of `evalh blame --json`: what was found, and with `--dry-run` what it would cost."""

from evalh.analysis.blame import BlameCost, Blamed, FoundStep
from evalh.core.run import Estimate
from evalh.core.values import Value
from evalh.report.documents.document import Document
from evalh.report.text import usd


class BlamedStep(Value, kw_only=True):
    """What one step loses: the rise of the good rate where its output is replaced too."""

    step: str
    effect: Estimate
    raised: int  # cases in which the rate rose
    lowered: int
    p_value: float


class BlameDocument(Document, tag="evalh.blame/1", kw_only=True):
    """`evalh blame --json`."""

    run: str
    prompt: str
    model: str
    stand_in: str | None
    design: str
    bad: int
    incidents: int
    cases: int
    left_out: int
    clusters: int
    reruns: int
    ungraded: int
    measured: bool
    monotone: bool
    chance: Estimate
    steps: tuple[BlamedStep, ...]
    residual: Estimate
    leading: tuple[str, ...]
    found: tuple[FoundStep, ...]
    cost_usd: float | None


class BlameCostDocument(Document, tag="evalh.blame-plan/1", kw_only=True):
    """`evalh blame --dry-run --json`."""

    cases: int
    steps: tuple[str, ...]
    samples: int
    worst_case_usd: float | None
    why_unknown: str | None


def blame_document(found: Blamed) -> BlameDocument:
    """Return the document of `evalh blame --json`."""
    blame = found.blame
    return BlameDocument(
        run=found.run,
        prompt=found.prompt,
        model=found.model,
        stand_in=found.stand_in,
        design=blame.design.value,
        bad=found.bad,
        incidents=found.incidents,
        cases=blame.cases,
        left_out=found.left_out,
        clusters=blame.clusters,
        reruns=blame.reruns,
        ungraded=blame.ungraded,
        measured=blame.measured,
        monotone=blame.monotone,
        chance=blame.chance,
        steps=tuple(
            BlamedStep(
                step=one.step,
                effect=Estimate(one.effect.mean, one.effect.low, one.effect.high, "t"),
                raised=one.effect.raised,
                lowered=one.effect.lowered,
                p_value=one.effect.p_value,
            )
            for one in blame.steps
        ),
        residual=blame.residual,
        leading=blame.leading,
        found=blame.found,
        cost_usd=usd(found.spent_usd),
    )


def blame_cost_document(cost: BlameCost) -> BlameCostDocument:
    """Return the document of `evalh blame --dry-run --json`."""
    most = usd(cost.worst_case_usd)
    return BlameCostDocument(
        cases=cost.cases, steps=cost.steps, samples=cost.samples, worst_case_usd=most, why_unknown=cost.why_unknown
    )
