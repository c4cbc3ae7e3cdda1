"""Which judge a calibration belongs to: one that was changed is another judge."""

from collections.abc import Mapping, Sequence

from evalh.core.calibration import Held, JudgeStanding, judge_relative
from evalh.core.digest import JsonValue, digest
from evalh.core.label import GOOD
from evalh.core.ports import Tree
from evalh.core.run import RunRecord
from evalh.graders.kinds import Grader
from evalh.graders.prefer import Prefer
from evalh.workspace.calibrations import calibrated, path_of, read_calibration


def identity(document: Mapping[str, JsonValue]) -> str:
    """Digest what a judge judges by: its rubric, prompt, model and parameters; not whether it is required."""
    return digest({name: value for name, value in document.items() if name not in ("required", "name")})


def stale_calibrations(tree: Tree, suite: str, graders: Sequence["Grader | Prefer"]) -> list[str]:
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


def standing(
    tree: Tree, suite: str, judge: str, document: Mapping[str, JsonValue], *, required: bool, about: str | None = None
) -> JudgeStanding:
    """Say how far the judge that this document describes is held against people; `about`: by which labels.

    Raises WorkspaceError for a calibration that is damaged.
    """
    kept = read_calibration(tree, suite, judge)
    label = f"evalh label {suite}" + ("" if about == GOOD else f" --about {about or judge}")
    calibrate = f"evalh calibrate {judge}"
    if kept is None:
        why = f"this judge was never held against people ({label}; {calibrate})"
        return JudgeStanding(judge=judge, required=required, state=Held.NEVER, why=why)
    state, missing = Held.CALIBRATED, None
    if kept.judge_digest != identity(document):
        state, missing = Held.STALE, f"the judge was changed since it was held against people ({calibrate})"
    elif kept.few_labels:
        state = Held.FEW_LABELS
        of = f"{kept.confusion.disagreements} of {kept.confusion.labelled} labelled outputs"
        missing = f"people and this judge disagree on {of}: too few to know how it errs ({label})"
    elif kept.agreement is not None and kept.agreement.worse_than_chance:
        missing = "this judge is worse than chance: people and it disagree more often than guesses would"
    kappa = None if kept.agreement is None else kept.agreement.kappa
    return JudgeStanding(
        judge=judge, required=required, state=state, at=kept.at, labels=kept.labelled, kappa=kappa, why=missing
    )


def standings(tree: Tree, suite: str, graders: Sequence[Grader]) -> tuple[JudgeStanding, ...]:
    """Say it of every grader that asks a model. Raises WorkspaceError."""
    return tuple(
        standing(tree, suite, grader.name, grader.document(), required=grader.required)
        for grader in graders
        if asks_a_model(grader)
    )


def pair_standings(tree: Tree, suite: str, judges: Sequence[Prefer]) -> tuple[JudgeStanding, ...]:
    """Say it of judges of two outputs: people's labels of what is good speak for them. Raises WorkspaceError."""
    return tuple(standing(tree, suite, judge.name, judge.document(), required=False, about=GOOD) for judge in judges)


def standings_of(tree: Tree, record: RunRecord) -> tuple[JudgeStanding, ...]:
    """Say it of the judges by which a run was graded. Raises WorkspaceError."""
    return tuple(
        standing(tree, record.suite, str(document["name"]), document, required=document.get("required") is True)
        for document in record.graders_document
        if _asks(document)
    )


def _asks(document: Mapping[str, JsonValue]) -> bool:
    parts = document.get("parts")
    inner = any(isinstance(part, Mapping) and _asks(part) for part in parts) if isinstance(parts, list) else False
    return inner or "judges_by" in document


def uncalibrated(tree: Tree, suite: str, graders: Sequence[Grader]) -> tuple[str, ...]:
    """Say which required judges nobody holds to account: their verdicts decide, and are relative to the judge.

    Raises WorkspaceError for a calibration that is damaged.
    """
    return judge_relative(standings(tree, suite, graders))


def asks_a_model(grader: Grader) -> bool:
    """Tell whether a grader, or one that it is made of, asks a model."""
    return bool(grader.compiled.forms) or any(asks_a_model(part) for part in grader.compiled.parts)
