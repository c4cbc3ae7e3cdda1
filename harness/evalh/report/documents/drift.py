"""The document of `evalh drift --json`; a gate's document holds what its canary found."""

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypeVar, Union

from msgspec import UNSET, UnsetType, field

from evalh.analysis.drift import Drift, DriftResult
from evalh.core.errors import ExitCode, worst
from evalh.core.run import Estimate
from evalh.core.values import Value
from evalh.report.documents.document import Document, document_of

T = TypeVar("T")
Told: TypeAlias = Union[T, UnsetType]  # noqa: UP007 (a TypeVar's union is not an alias at run time)
"""A key that is left out where nothing was asked."""
Verdict = Literal["moved", "not_shown", "not_comparable", "unmeasured"]
_VERDICTS: dict[ExitCode, Verdict] = {
    ExitCode.NO: "moved",
    ExitCode.YES: "not_shown",
    ExitCode.INCONCLUSIVE: "not_comparable",
}


class RateMove(Value, kw_only=True):
    """A rate, when the baseline was accepted and now."""

    then: Estimate
    now: Estimate


class AnsweringModels(Value, kw_only=True):
    """Names under which the models answered."""

    then: tuple[str, ...]
    now: tuple[str, ...]


class OutputsDiffer(Value, kw_only=True):
    """Cases whose outputs are other ones, of those where both are known."""

    differ: int
    of: int


class DriftNumbers(Value, kw_only=True):
    """What was found by asking again."""

    verdict: Verdict
    cases: Told[tuple[str, ...]] = UNSET
    trials: Told[int] = UNSET
    wins: Told[int] = UNSET
    losses: Told[int] = UNSET
    difference: Told[Estimate] = UNSET
    good_rate: Told[RateMove] = UNSET
    p_value: Told[float | None] = UNSET
    test: Told[str] = UNSET
    alpha: Told[float] = UNSET
    smallest: Told[float | None] = field(default=UNSET, name="smallest_move")
    outputs: Told[OutputsDiffer] = UNSET
    answering_models: Told[AnsweringModels] = UNSET
    newcomers: Told[tuple[str, ...]] = UNSET
    ungraded: Told[int] = UNSET
    worse: Told[tuple[str, ...]] = UNSET
    better: Told[tuple[str, ...]] = UNSET
    asked: Told[int] = UNSET
    cost_usd: Told[float | None] = UNSET


class CanaryDocument(DriftNumbers, kw_only=True):
    """Base's accepted cases that a gate asked again; `told` says it in one sentence."""

    told: str


class DriftSuite(DriftNumbers):
    """One baseline, and what became of it."""

    suite: str
    baseline: str
    prompt: str | None
    model: str | None
    date: str | None
    of: int | None
    exit: ExitCode
    error: str | None
    notices: tuple[str, ...]


class DriftDocument(Document, tag="evalh.drift/1", kw_only=True):
    """`evalh drift --json`."""

    verdict: Verdict
    exit: ExitCode
    suites: tuple[DriftSuite, ...]


def numbers(move: DriftResult) -> dict[str, object]:
    """Return what was found, by the names of `DriftNumbers` that are not those of the value."""
    return {
        "good_rate": RateMove(then=move.then, now=move.now),
        "outputs": OutputsDiffer(differ=move.outputs[0], of=move.outputs[1]),
        "answering_models": AnsweringModels(then=move.models_then, now=move.models_now),
    }


def drift_document(found: Sequence[Drift]) -> DriftDocument:
    code = worst(line.exit for line in found)
    return DriftDocument(verdict=_VERDICTS.get(code, "unmeasured"), exit=code, suites=tuple(map(_suite, found)))


def _suite(line: Drift) -> DriftSuite:
    return document_of(
        DriftSuite,
        *([] if line.move is None else [line.move]),
        suite=line.suite,
        baseline=line.path,
        prompt=line.prompt or None,
        model=line.model or None,
        date=line.date or None,
        of=line.of or None,
        exit=line.exit,
        error=None if line.error is None else str(line.error),
        notices=line.notices,
        **({"verdict": _VERDICTS.get(line.exit, "unmeasured")} if line.move is None else numbers(line.move)),
    )
