"""Judges and people: whether a judge is calibrated, which calibration is its own, and what it may favour."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from shlex import quote
from typing import TYPE_CHECKING

from evalh.api.parts import Parts
from evalh.core.calibration import GOOD, Held, JudgeStanding, Label, judge_relative
from evalh.core.digest import digest
from evalh.core.ports import Tree
from evalh.core.run import RunRecord
from evalh.core.strict_json import JsonValue
from evalh.engine.plan import Plan
from evalh.graders.kinds import Grader
from evalh.routing.target import Target
from evalh.workspace.kept.calibrations import calibrated, path_of, read_calibration
from evalh.workspace.kept.labels import read_labels

if TYPE_CHECKING:
    from evalh.graders.judges.prefer import Prefer


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
            advice = f"evalh run {quote(suite)}; evalh calibrate {quote(kept.judge)}"
            notices.append(f"{path}: stale, {kept.judge} was changed since {kept.at[:10]} ({advice})")
    return notices


def standing(
    tree: Tree, suite: str, judge: str, document: Mapping[str, JsonValue], *, required: bool, about: str | None = None
) -> JudgeStanding:
    """Say whether the judge that this document describes is calibrated; `about`: by which labels.

    Raises WorkspaceError for a calibration that is damaged.
    """
    kept = read_calibration(tree, suite, judge)
    label = f"evalh label {quote(suite)}" + ("" if about == GOOD else f" --about {quote(about or judge)}")
    calibrate = f"evalh calibrate {quote(judge)}"
    if kept is None:
        why = f"this judge is not calibrated ({label}; {calibrate})"
        return JudgeStanding(judge=judge, required=required, state=Held.NEVER, why=why)
    state, missing = Held.CALIBRATED, None
    if kept.judge_digest != identity(document):
        state, missing = Held.STALE, f"the judge was changed since it was calibrated ({calibrate})"
    elif kept.few_labels:
        state = Held.FEW_LABELS
        of = f"{kept.confusion.disagreements} of {kept.confusion.labelled} labelled outputs"
        missing = f"people and this judge disagree on {of}: too few to estimate its errors ({label})"
    elif kept.agreement is not None and kept.agreement.worse_than_chance:
        missing = "this judge is worse than chance: people and it disagree more often than by chance"
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


def pair_standings(tree: Tree, suite: str, judges: "Sequence[Prefer]") -> tuple[JudgeStanding, ...]:
    """Do the same for judges of two outputs, which labels of good outputs calibrate. Raises WorkspaceError."""
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
    """Whether a grader, or one that it is made of, asks a model."""
    return bool(grader.asked)


def kinship(parts: Parts, judges: Iterable[tuple[str, Sequence[str]]], judged: Mapping[str, str]) -> Iterator[str]:
    """Say which judges are of the same family as what they judge: models prefer their own kind's answers.

    `judges`: a grader's name, and whom it asks; `judged`: models by their name in the workspace, as on the wire.
    """
    asking = [(grader, asked) for grader, asked in judges if asked]
    if not asking:
        return
    from evalh.graders.judges.panel import family  # with all that judges need, which most runs have no use for

    kinds = {family(wire): name for name, wire in judged.items()}
    for grader, asked in asking:
        for name in dict.fromkeys(asked):
            for model, wire in parts.targets.sent_as(name).items():
                kind = None if parts.config.models[model].embeds else family(wire)  # vectors prefer nobody
                if kind is not None and kind in kinds:
                    yield (
                        f"{grader}: the judge {model!r} is of the same family ({kind}) as {kinds[kind]!r},"
                        " which it judges"
                    )


def judge_kin(parts: Parts, plan: Plan) -> Iterator[str]:
    """Say it of a plan's judges."""
    judges = [(grader.name, grader.models) for grader in plan.asking]
    if plan.pipeline is None:
        yield from kinship(parts, judges, _sent([plan.target]))
        return
    steps, output = plan.pipeline.steps, plan.pipeline.flow.pipeline.output
    yield from kinship(parts, judges, _sent(one.target for name in output for one in steps[name].prompts))
    for step, planned in steps.items():
        own = [(f"{step}.{grader.name}", grader.models) for grader in planned.all_graders]
        yield from kinship(parts, own, _sent(one.target for one in planned.prompts))


def _sent(targets: Iterable[Target]) -> dict[str, str]:
    """Return the models of targets, as they are called on the wire."""
    return {name: leaf.provider.model for target in targets for name, leaf in target.leaves.items()}


def judge_warnings(parts: Parts, plan: Plan) -> Iterator[str]:
    """Say what stands against trusting a plan's judges. Raises WorkspaceError for a damaged calibration."""
    yield from judge_kin(parts, plan)
    yield from uncalibrated(parts.tree, plan.suite.name, plan.graders)
    steps = {} if plan.pipeline is None else plan.pipeline.steps
    for step, planned in steps.items():
        for grader in planned.all_graders:
            if grader.required and asks_a_model(grader):
                yield (
                    f"{step}.{grader.name}: this judge is not calibrated: labels are about a sample's"
                    " output, not about a step's"
                )


def labels_of(parts: Parts, suite: str, judges: Sequence[JudgeStanding]) -> tuple[Label, ...]:
    """Read people's labels of a suite, where a judge has a say in it. Raises WorkspaceError."""
    return read_labels(parts.tree, parts.config.datasets_dir, suite) if judges else ()
