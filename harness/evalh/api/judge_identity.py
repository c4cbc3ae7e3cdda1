"""Which judge a calibration belongs to: one that was changed is another judge."""

from collections.abc import Mapping, Sequence

from evalh.core.digest import JsonValue, digest
from evalh.core.ports import Tree
from evalh.graders.kinds import Grader
from evalh.workspace.calibrations import calibrated, path_of, read_calibration


def identity(document: Mapping[str, JsonValue]) -> str:
    """Digest what a judge judges by: its rubric, prompt, model and parameters; not whether it is required."""
    return digest({name: value for name, value in document.items() if name not in ("required", "name")})


def stale_calibrations(tree: Tree, suite: str, graders: Sequence[Grader]) -> list[str]:
    """Say which of a suite's calibrations belong to a judge that is no longer there. Raises WorkspaceError."""
    now = {grader.name: identity(grader.document()) for grader in graders}
    notices = []
    for judge in calibrated(tree, suite):
        kept = read_calibration(tree, suite, judge)
        if kept is None or now.get(kept.judge) == kept.judge_digest:
            continue
        path = path_of(suite, judge)
        if kept.judge not in now:
            notices.append(f"{path}: suite {suite} has no grader {kept.judge} any more")
        else:
            advice = f"evalh run {suite}; evalh calibrate {kept.judge}"
            notices.append(f"{path}: stale, {kept.judge} was changed since {kept.at[:10]} ({advice})")
    return notices


def uncalibrated(tree: Tree, suite: str, graders: Sequence[Grader]) -> list[str]:
    """Say which required judges nobody holds to account: their verdicts decide, and are relative to the judge.

    Raises WorkspaceError for a calibration that is damaged.
    """
    notices = []
    for grader in graders:
        if not (grader.required and asks_a_model(grader)):
            continue
        kept = read_calibration(tree, suite, grader.name)
        label, calibrate = f"evalh label {suite} --about {grader.name}", f"evalh calibrate {grader.name}"
        if kept is None:
            notices.append(f"{grader.name}: this judge was never held against people ({label}; {calibrate})")
        elif kept.judge_digest != identity(grader.document()):
            notices.append(f"{grader.name}: the judge was changed since it was held against people ({calibrate})")
        elif kept.few_labels:
            notices.append(
                f"{grader.name}: this judge was held against {kept.labelled} labels, fewer than 50 ({label})"
            )
    return notices


def asks_a_model(grader: Grader) -> bool:
    """Tell whether a grader, or one that it is made of, asks a model."""
    return bool(grader.compiled.forms) or any(asks_a_model(part) for part in grader.compiled.parts)
