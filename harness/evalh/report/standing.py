"""What documents say of the judges on whose verdicts they rest."""

from collections.abc import Sequence

from msgspec import to_builtins

from evalh.core.calibration import JudgeStanding
from evalh.core.digest import JsonValue


def judges_document(judges: Sequence[JudgeStanding]) -> list[dict[str, JsonValue]]:
    """Return what documents say of the judges on whose verdicts they rest."""
    return [
        {
            "judge": judge.judge,
            "required": judge.required,
            "calibration": judge.state.value,
            "at": judge.at,
            "labels": judge.labels,
            "kappa": None if judge.kappa is None else judge.kappa.document(),
            "relative": judge.relative,
            "difference": None if judge.difference is None else to_builtins(judge.difference),
        }
        for judge in judges
    ]
