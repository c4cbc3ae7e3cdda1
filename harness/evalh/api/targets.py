"""What `--model` and a grader's `model` name: a model of evalh.toml, or a route, resolved.

Also what graders that ask a model are handed: models, rubric files and prompts that judge; and whether models are
asked for what the grader `logprob` reads: where not, it would only ever abstain.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from shlex import quote

from msgspec.structs import replace

from evalh.core.attempt import Purpose
from evalh.core.declared import FileModel, read
from evalh.core.errors import EvalhError, NotFound, UsageError, WorkspaceError, did_you_mean, one_of
from evalh.core.ports import Provider, Tree
from evalh.core.prompt import PromptRef, PromptVersion
from evalh.core.request import Settings
from evalh.core.route import Route, direct
from evalh.core.strict_json import JsonValue
from evalh.core.suite import GraderSpec, Suite
from evalh.core.values import Value
from evalh.core.verdict import Form
from evalh.engine.plan import Routing
from evalh.graders.judges.asking import JudgePrompt, RubricText
from evalh.graders.kinds import Grader, GraderEnvironment
from evalh.graders.registry import build as build_grader
from evalh.graders.registry import build_all
from evalh.pipeline.step import settings_for
from evalh.providers.logprobs import not_asked
from evalh.providers.registry import holds_schema
from evalh.routing.asking import answering, settings_of
from evalh.routing.target import Leaf, Target, models_of, reachable
from evalh.workspace.config import Config
from evalh.workspace.files import label, read_text, refuse_hidden
from evalh.workspace.prompt.prompts import Prompts
from evalh.workspace.prompt.templates import compile_version
from evalh.workspace.prompt.versions import cut
from evalh.workspace.yaml import parse_yaml


class Targets:
    """What the names of models and routes come to. It is `graders.judges.asking.Models` too.

    `provider` gives a model's provider, for a prompt version or none; `environment` what graders are handed.
    """

    def __init__(
        self,
        config: Config,
        provider: Callable[[str, PromptVersion | None], Provider],
        environment: Callable[["Targets"], GraderEnvironment],
    ) -> None:
        """Build nothing yet."""
        self.config = config
        self._provider = provider
        self._environment = environment

    @cached_property
    def environment(self) -> GraderEnvironment:
        """What graders and checks are compiled with. Raises WorkspaceError."""
        return self._environment(self)

    def default_model(self, suite: Suite, version: PromptVersion) -> tuple[str, str]:
        """Return the model that a suite asks, and where it is named. Raises UsageError if nothing names one."""
        if suite.model is not None:
            return suite.model, suite.where_of("model")
        if version.model is not None:
            return version.model, version.path
        raise UsageError(
            f"which model? suite {suite.name!r} names none",
            where=suite.where,
            hint=f"add `model: …`; or {one_of('--model {}', self.config.models)}",
        )

    def target_for(self, name: str, version: PromptVersion, where: str | None = None) -> Target:
        """Resolve the name of a model or a route, which stands at `where`. Raises NotFound, WorkspaceError."""
        config = self.config
        route = config.routes.get(name)
        if route is None and name not in config.models:
            raise self.no_model(name, where)
        route = route or direct(name)
        for model in models_of(route, config.routes, tuple(config.models)):
            if config.models[model].embeds:
                raise WorkspaceError(
                    f"model {model!r} gives only embeddings",
                    where=config.models[model].where,
                    hint="the grader embedding_similarity asks it",
                )
        for one in reachable(route, config.routes):
            self.route_checks(one)
        self.refuse_circles(route)
        return self._target(route, version, lambda provider: settings_for(version, provider))

    def no_model(self, name: str, where: str | None) -> NotFound:
        """Return the refusal of a name that no model and no route has."""
        known = (*self.config.models, *self.config.routes)
        hint = did_you_mean(name, known) if known else f"add [models.{name}]"
        return NotFound(f"no model or route {name!r}", where=where, hint=hint)

    def resolve(self, name: str, form: Form) -> Target:
        """Find what a grader asks, its requests under the grader's own settings. Raises NotFound, WorkspaceError."""
        route = self.config.routes.get(name) or direct(name)
        return self._target(route, None, lambda provider: settings_of(form, provider))

    def _target(self, route: Route, version: PromptVersion | None, settings: Callable[[Provider], Settings]) -> Target:
        config = self.config
        leaves = {}
        for model in models_of(route, config.routes, tuple(config.models)):
            provider = self._provider(model, version)
            leaves[model] = Leaf(provider, settings(provider), config.models[model].where)
        return Target(route=route, routes=config.routes, leaves=leaves, judges_by=self.judges_by)

    def judges_by(self, spec: GraderSpec) -> JsonValue:
        """Return what a check's verdicts depend on. Raises WorkspaceError."""
        return build_grader(spec, self.environment).document()

    def sent_as(self, name: str) -> dict[str, str]:
        """Return the models behind a name, as they are called on the wire. Raises NotFound, WorkspaceError."""
        config = self.config
        found = models_of(config.routes.get(name) or direct(name), config.routes, tuple(config.models))
        return {model: config.models[model].model for model in found}

    def routing(self, name: str, form: Form) -> Routing:
        """Return what asks by a name alone, for no case of a suite. Raises NotFound, WorkspaceError."""
        return Routing(target=self.resolve(name, form), resolve=self.resolve, build_checks=self.build_checks)

    def asked(self, task: Target, graders: Iterable[Grader]) -> list[Target]:
        """Return everything that graders and checks ask, and what its checks ask in turn. Raises WorkspaceError."""
        targets: list[Target] = []
        for name, form in (one for grader in graders for one in grader.asked):
            found = [self.resolve(name, form)] if name else [answering(task, model, form) for model in task.leaves]
            for target in found:
                self.refuse_circles(target.route)
                targets += [target, *self.asked(target, self.checks_of(target))]
        return targets

    def checks_of(self, target: Target) -> tuple[Grader, ...]:
        """Return the checks of a route and of every route that it leads to. Raises WorkspaceError."""
        routes = reachable(target.route, target.routes)
        return tuple(check for route in routes for check in self.route_checks(route))

    def route_checks(self, route: Route) -> tuple[Grader, ...]:
        """Compile a route's checks. Raises WorkspaceError for one that does not exist, or that needs gold."""
        policies = [policy for policy in (route.repair, route.cascade) if policy is not None]
        return tuple(check for policy in policies for check in self.build_checks(policy.checks))

    def refuse_circles(self, route: Route) -> None:
        """Raise WorkspaceError where a check asks a route that it is itself a part of: it would ask without end."""
        routes, done = self.config.routes, set[str]()

        def visit(one: Route, path: tuple[str, ...]) -> None:
            if one.name in path:
                circle = " → ".join((*path[path.index(one.name) :], one.name))
                raise WorkspaceError(f"a check asks its own route: {circle}", where=one.where)
            if one.name in done:
                return
            asked = [name for check in self.route_checks(one) for name in check.models]
            for name in (*one.targets, *asked):
                if name in routes:
                    visit(routes[name], (*path, one.name))
            done.add(one.name)

        visit(route, ())

    def build_checks(self, specs: Sequence[GraderSpec]) -> tuple[Grader, ...]:
        """Compile checks. Raises WorkspaceError."""
        return build_checks(specs, self.environment)

    # -- what judges ask for

    def require(self, name: str, where: str, *, embeds: bool = False) -> None:
        """Raise WorkspaceError at `where` for a name that is none, or a model that does not do what is asked of it."""
        config = self.config
        known = (*config.models, *config.routes)
        if name not in known:
            hint = did_you_mean(name, known) if known else f"[models.{name}]"
            raise WorkspaceError(f"no model or route {name!r}", where=where, hint=hint)
        model = config.models.get(name)
        if model is not None and model.embeds and not embeds:
            raise WorkspaceError(f"model {name!r} gives only embeddings", where=where)
        if embeds and (model is None or not model.embeds):
            # A route may answer by another model the next time, and vectors of two models have nothing in common.
            what = f"{name!r} is a route" if model is None else f"model {name!r} gives no embeddings"
            raise WorkspaceError(what, where=where, hint='a model with api = "embeddings"')

    def document(self, name: str) -> JsonValue:
        """Return what stands for a model in a digest: who it is and what it is sent, under no name."""
        form, route = Form(purpose=Purpose.JUDGE), self.config.routes.get(name) or direct(name)

        def lasting(provider: Provider) -> Settings:
            return replace(settings_of(form, provider), sent_to=provider.identity)

        return self._target(route, None, lasting).settings().document()

    def holds_schema(self, name: str | None) -> bool:
        """Whether the model of this name is held to a schema by its provider; a model that is not configured is not."""
        model = self.config.models.get(name or "")
        return model is not None and holds_schema(model)


class RubricFront(FileModel):
    """The front matter of a rubric file; `graders.judges.rubric` reads what the keys state."""

    scale: JsonValue = None
    pass_mark: JsonValue = None
    criteria: JsonValue = None


class WorkspaceTexts(Value):
    """`graders.judges.asking.Texts`: rubric files, prompt versions that judge, and files of code."""

    tree: Tree
    prompts: Callable[[str | None], Prompts]  # of a revision; None: of this one

    def rubric(self, path: str, where: str) -> RubricText:
        """Read a rubric file, and the scale in its front matter where it has one. Raises WorkspaceError."""
        tree = self.tree
        name = label(tree, path)
        refuse_hidden(path, where)
        try:
            text = read_text(tree, path)
        except WorkspaceError as exc:
            missing = f"no rubric {path!r}" if exc.what == "no such file" else exc.what
            raise WorkspaceError(missing, where=where, hint="rubric: a file of the workspace, or its text") from None
        source = cut(text, name)
        located = parse_yaml(source.front or "", name, first_line=source.front_line)
        scale = {} if located.value is None else located.value
        read(RubricFront, scale, located.where)
        if not source.body.strip():
            raise WorkspaceError("the rubric is empty", where=name)
        return RubricText(text=source.body.strip(), scale=scale, where_of=located.where)

    def script(self, path: str, where: str) -> str | None:
        """Read a file of code; None if there is none. Raises WorkspaceError."""
        refuse_hidden(path, where)
        try:
            return read_text(self.tree, path)
        except WorkspaceError as exc:
            if exc.what == "no such file":
                return None
            raise

    def prompt(self, reference: str, where: str) -> JudgePrompt:
        """Load a prompt version that judges. Raises WorkspaceError."""
        try:
            ref = PromptRef.parse(reference)
            version = self.prompts(ref.revision).resolve(ref)
            if version.pipeline is not None:
                raise WorkspaceError(f"{version.label} is a pipeline, but a judge needs a single prompt")
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


def target_hint(
    ref: PromptRef, suites: Sequence[str], prompts: Sequence[str], having: Sequence[str], folder: str
) -> str:
    """Say what to type instead of a target that is neither a suite nor a prompt with one.

    `having`: the suites whose prompt has the version that is named.
    """
    if ref.name is None:
        return (
            one_of(f"evalh run {{}} --prompt {quote(str(ref))}", having) if having else did_you_mean(str(ref), suites)
        )
    if ref.name in prompts or not suites:
        return f"write {folder}/{ref.name}.yaml"
    return did_you_mean(ref.name, suites)


def versions_named(target: PromptRef, refs: tuple[PromptRef, ...], suite: str) -> tuple[PromptRef, ...]:
    """Return the versions to run: the references, else the target. Raises UsageError if both name a version."""
    if refs and target.version:
        versions = " ".join(f"--prompt {quote(str(one))}" for one in (target, *refs))
        raise UsageError(f"'{target}' and --prompt both name a version", hint=f"evalh run {quote(suite)} {versions}")
    return refs or (target,)


def build_checks(specs: Sequence[GraderSpec], environment: GraderEnvironment) -> tuple[Grader, ...]:
    """Compile checks. Raises WorkspaceError where one compares with `expected`: there is none in production."""
    graders = build_all(specs, environment)
    for grader in graders:
        if grader.needs_expected:
            raise WorkspaceError(
                f"{grader.name!r} needs gold, and a check must work without gold",
                where=grader.spec.where,
                hint='checks without gold: "schema", "json", {regex = "…"}, {length = {max_chars = 500}}, …',
            )
    refuse_readers(graders)
    return graders


def refuse_readers(graders: Iterable[Grader]) -> None:
    """Raise WorkspaceError if a step's grader reads other steps: it sees only the inputs of its own step."""
    for grader in graders:
        if grader.reads:
            raise WorkspaceError(
                f"{grader.name!r} reads the step {grader.reads[0]!r}, but only a suite's graders can read steps",
                where=grader.spec.where,
                hint=f"use inputs.… for the step's inputs, or put {grader.spec.kind} under the suite's `graders`",
            )


def require_steps(graders: Iterable[Grader], version: PromptVersion) -> None:
    """Raise WorkspaceError if a suite's grader reads a step, or asks a model, that a version does not have."""
    pipeline = version.pipeline
    steps = {} if pipeline is None else {spec.name: spec for spec in pipeline.steps}
    functions = [] if pipeline is None else [name for name in pipeline.output if steps[name].function is not None]
    for grader in graders:
        unknown = next((name for name in grader.reads if name not in steps), None)
        if unknown is not None:
            lacks = f"has no step {unknown!r}" if steps else f"is a single prompt: it has no step {unknown!r}"
            hint = did_you_mean(unknown, steps) if steps else f"for an input of the case, write inputs.{unknown}"
            what = f"grader {grader.name!r} reads a step, but {version.label} {lacks}"
            raise WorkspaceError(what, where=grader.spec.where, hint=hint)
    for function in functions:
        refuse_nobody(graders, function)


def refuse_nobody(graders: Iterable[Grader], function: str) -> None:
    """Raise WorkspaceError where a grader asks the model that answered, and a function did."""
    for grader in graders:
        if any(name is None for name, _ in grader.asked):
            what = f"grader {grader.name!r} asks the model that answered, but the step {function!r} is a function"
            raise WorkspaceError(what, where=grader.spec.where, hint="model: …, where the grader has such a parameter")


def require_logprobs(graders: Sequence[Grader], checks: GraderEnvironment, target: Target) -> None:
    """Raise WorkspaceError at the line of a grader, or of a check of a route, that meets a model without."""
    _require(graders, target.leaves)
    for route in reachable(target.route, target.routes):
        if route.repair is not None:
            _require(build_all(route.repair.checks, checks), _leaves(target, route, route.targets, own=True))
        if route.cascade is not None:  # who is escalated to is not checked
            examined = (route.model, *route.fallback)
            _require(build_all(route.cascade.checks, checks), _leaves(target, route, examined, own=False))


def _leaves(target: Target, route: Route, names: Iterable[str], *, own: bool) -> Mapping[str, Leaf]:
    """Return the models that these names lead to; `own`: only those that no other route stands before."""
    found: list[str] = []
    for name in names:
        inner = None if name == route.name else target.routes.get(name)
        if inner is None:
            found.append(name)
        elif not own:
            found += models_of(inner, target.routes, target.leaves)
    return {name: target.leaves[name] for name in found}


def _require(graders: Iterable[Grader], leaves: Mapping[str, Leaf]) -> None:
    for grader in graders:
        for name, leaf in leaves.items() if grader.needs_logprobs else ():
            advice = not_asked(leaf.provider, leaf.settings.params)
            if advice is None:
                continue
            hint = f"[models.{name}] in evalh.toml: {advice}" if advice.startswith("params") else advice
            raise WorkspaceError(
                f"grader {grader.name!r} needs token log-probabilities, and model {name!r} does not return them",
                where=grader.spec.where,
                hint=hint,
            )
