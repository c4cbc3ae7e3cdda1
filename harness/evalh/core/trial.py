"""What came of trying a grader on outputs of the log."""

from collections.abc import Mapping

from evalh.core.digest import JsonValue
from evalh.core.values import Value


class TriedOutput(Value, kw_only=True):
    """One output and its verdict."""

    case_id: str
    outcome: str
    score: float | None
    reason: str
    output: str


class GraderTrial(Value, kw_only=True):
    """One grader, by the parameters that a suite states or by its defaults."""

    grader: str
    where: str  # file:line, of the suite's entry or of the code
    params: Mapping[str, JsonValue]
    run: str | None  # whose outputs were judged; None: nothing was run yet
    outputs: int
    counts: Mapping[str, int]  # pass, fail, abstain, error
    ms_each: float | None
    examples: tuple[TriedOutput, ...]
