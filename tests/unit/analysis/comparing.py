"""Builders: two sides of a comparison."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from evalh.analysis.compare.pairing import Results, by_case
from evalh.core.run import Fingerprint
from evalh.core.sample import SampleResult, Standing
from evalh.core.verdict import Outcome

STANDINGS = {"+": Standing.GOOD, "-": Standing.BAD, "?": Standing.UNGRADED}
OUTCOMES = {Standing.GOOD: Outcome.PASS, Standing.BAD: Outcome.FAIL, Standing.UNGRADED: Outcome.ABSTAIN}


def sample(case_id: str, trial: int, mark: str, **more: Any) -> SampleResult:
    standing = STANDINGS[mark]
    given: dict[str, Any] = {
        "cost_usd": Decimal("0.001"),
        "latency_ms": 100.0,
        "output_digest": f"sha256:{mark}",
        "outcomes": {"equals": OUTCOMES[standing]},
        "required": frozenset({"equals"}),
        "row_digest": f"sha256:{case_id}",
    }
    return SampleResult(case_id=case_id, trial=trial, standing=standing, **{**given, **more})


def side(cases: Mapping[str, str], prompt: str = "triage@v2", **more: Any) -> Results:
    """One side: case id → a sign per trial (`+` good, `-` bad, `?` ungraded)."""
    dataset = more.pop("dataset", f"sha256:{sorted(cases)}")
    graders = more.pop("graders_digest", "sha256:g")
    samples = more.pop("samples", None) or [
        sample(case, trial, mark) for case, marks in cases.items() for trial, mark in enumerate(marks)
    ]
    given: dict[str, Any] = {
        "run": f"run-{prompt}",
        "suite": "triage",
        "model": "small",
        "trials": max((len(marks) for marks in cases.values()), default=1),
        "graders": (("equals", True),),
    }
    prints = Fingerprint(prompt=f"sha256:{prompt}", dataset=dataset, graders=graders, model="m", route="r")
    return Results(prompt=prompt, fingerprint=prints, cases=by_case(samples), **{**given, **more})


def signs(pattern: str) -> dict[str, str]:
    """`++-` → three cases with one trial each."""
    return {f"t-{number:03d}": mark for number, mark in enumerate(pattern, 1)}
