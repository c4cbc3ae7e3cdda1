"""What graders that ask a model are handed: the workspace's models, rubrics and judges' prompts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from evalh.api.judge_identity import uncalibrated
from evalh.api.targets import refuse_circles, route_checks
from evalh.core.asking import Form
from evalh.core.attempt import Purpose
from evalh.core.digest import JsonValue
from evalh.core.errors import EvalhError, WorkspaceError, did_you_mean
from evalh.core.prompt import PromptRef
from evalh.core.route import Route, direct
from evalh.core.values import Value
from evalh.engine.plan import Plan
from evalh.graders.asking import JudgePrompt, RubricText
from evalh.graders.families import family
from evalh.graders.registry import Grader
from evalh.routing.asking import answering, settings_of
from evalh.routing.target import Leaf, Target, models_of, reachable
from evalh.workspace.located import Table
from evalh.workspace.reading import label, read_text
from evalh.workspace.templates import compile_version
from evalh.workspace.trees import refuse_hidden
from evalh.workspace.versions import cut
from evalh.workspace.yaml import parse_yaml

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace

RUBRIC_KEYS = ("scale", "pass_mark", "criteria")
"""What a rubric file may state in its front matter."""


class WorkspaceModels(Value):
    """`graders.asking.Models`: the models and routes of evalh.toml."""

    workspace: "Workspace"

    def require(self, name: str, where: str, *, embeds: bool = False) -> None:
        """Raise WorkspaceError at `where` for a name that is none, or a model that does not do what is asked of it."""
        config = self.workspace.config
        known = (*config.models, *config.routes)
        if name not in known:
            hint = did_you_mean(name, known) if known else f"[models.{name}]"
            raise WorkspaceError(f"no model or route {name!r} in evalh.toml", where=where, hint=hint)
        model = config.models.get(name)
        if model is not None and model.embeds and not embeds:
            raise WorkspaceError(f"model {name!r} gives embeddings, and no answers", where=where)
        if embeds and (model is None or not model.embeds):
            # A route may answer by another model the next time, and vectors of two models have nothing in common.
            what = f"{name!r} is a route" if model is None else f"model {name!r} gives no embeddings"
            raise WorkspaceError(what, where=where, hint='a model with api = "embeddings"')

    def document(self, name: str) -> JsonValue:
        """Return what stands for a model in a digest: who it is and what it is sent, under no name."""
        return resolve(self.workspace, name, Form(purpose=Purpose.JUDGE)).settings().document()

    def holds_schema(self, name: str | None) -> bool:
        """Whether the model of this name is held to a schema by its provider; a model that is not configured is not."""
        model = self.workspace.config.models.get(name or "")
        return model is not None and model.holds_schema


class WorkspaceTexts(Value):
    """`graders.asking.Texts`: rubric files, and prompt versions that judge."""

    workspace: "Workspace"

    def rubric(self, path: str, where: str) -> RubricText:
        """Read a rubric file, and the scale in its front matter where it has one. Raises WorkspaceError."""
        tree = self.workspace.tree
        name = label(tree, path)
        refuse_hidden(path, where)
        try:
            text = read_text(tree, path)
        except WorkspaceError as exc:
            missing = f"no rubric {path!r}" if exc.what == "no such file" else exc.what
            raise WorkspaceError(missing, where=where, hint="rubric: a file of the workspace, or its text") from None
        source = cut(text, name)
        located = parse_yaml(source.front or "", name, first_line=source.front_line)
        scale = {} if located.value is None else Table(located, located.value).json()
        if located.value is not None:
            Table(located, located.value).refuse_unknown(RUBRIC_KEYS)
        if not source.body.strip():
            raise WorkspaceError("the rubric is empty", where=name)
        return RubricText(text=source.body.strip(), scale=scale, where=name)

    def prompt(self, reference: str, where: str) -> JudgePrompt:
        """Load a prompt version that judges. Raises WorkspaceError."""
        try:
            ref = PromptRef.parse(reference)
            version = self.workspace.prompts(ref.revision).resolve(ref)
            template = compile_version(version)
        except EvalhError as exc:
            raise WorkspaceError(exc.what, where=exc.where or where, hint=exc.hint) from None
        return JudgePrompt(
            label=version.label,
            digest=version.digest,
            template=template,
            variables=version.variables - version.input_defaults.keys(),
            params=version.params,
            output_schema=version.output_schema,
        )


def resolve(workspace: "Workspace", name: str, form: Form) -> Target:
    """Find what a grader asks, its requests under the grader's own settings. Raises NotFound, WorkspaceError."""
    config = workspace.config
    route = config.routes.get(name) or direct(name)
    providers = {model: workspace.provider(model) for model in models_of(route, config.routes, tuple(config.models))}
    leaves = {
        model: Leaf(provider, settings_of(form, provider), config.models[model].where)
        for model, provider in providers.items()
    }
    return Target(route=route, routes=config.routes, leaves=leaves, judges_by=workspace.judges_by)


def asked_targets(workspace: "Workspace", task: Target, graders: Iterable[Grader]) -> list[Target]:
    """Return everything that graders and checks ask, and what the checks of that ask in turn. Raises WorkspaceError."""
    targets: list[Target] = []
    for name, form in (one for grader in graders for one in grader.asked):
        if name is None:
            found = [answering(task, model, form) for model in task.leaves]
        else:
            found = [resolve(workspace, name, form)]
        for target in found:
            refuse_circles(target.route, workspace)
            targets += [target, *asked_targets(workspace, target, checks_of(workspace, target))]
    return targets


def checks_of(workspace: "Workspace", target: Target) -> tuple[Grader, ...]:
    """Return the checks of a route and of every route that it leads to. Raises WorkspaceError."""
    routes = reachable(target.route, target.routes)
    return tuple(check for route in routes for check in route_checks(route, workspace.grader_environment))


def routes_of(targets: Iterable[Target]) -> tuple[Route, ...]:
    """Return the routes of targets, and those that they lead to."""
    return tuple(route for target in targets for route in reachable(target.route, target.routes))


def kinship(
    workspace: "Workspace", judges: Iterable[tuple[str, Sequence[str]]], judged: Mapping[str, str]
) -> Iterator[str]:
    """Say which judges are of the same family as what they judge: models prefer their own kind's answers.

    `judges`: a grader's name, and whom it asks; `judged`: models by their name in the workspace, as on the wire.
    """
    kinds = {family(wire): name for name, wire in judged.items()}
    for grader, asked in judges:
        for name in dict.fromkeys(asked):
            for model, wire in sent_as(workspace, name).items():
                kind = None if workspace.config.models[model].embeds else family(wire)  # vectors prefer nobody
                if kind is not None and kind in kinds:
                    yield (
                        f"{grader}: the judge {model!r} is of the same family ({kind}) as {kinds[kind]!r},"
                        " which it judges"
                    )


def sent_as(workspace: "Workspace", name: str) -> dict[str, str]:
    """Return the models behind a model or route, as they are called on the wire. Raises NotFound, WorkspaceError."""
    config = workspace.config
    found = models_of(config.routes.get(name) or direct(name), config.routes, tuple(config.models))
    return {model: config.models[model].model for model in found}


def judge_kin(workspace: "Workspace", plan: Plan) -> Iterator[str]:
    """Say it of a plan's judges."""
    judged = {name: leaf.provider.model for name, leaf in plan.target.leaves.items()}
    yield from kinship(workspace, [(grader.name, grader.models) for grader in plan.asking], judged)


def judge_warnings(workspace: "Workspace", plan: Plan) -> Iterator[str]:
    """Say what stands against trusting a plan's judges. Raises WorkspaceError for a damaged calibration."""
    yield from judge_kin(workspace, plan)
    yield from uncalibrated(workspace.tree, plan.suite.name, plan.graders)
