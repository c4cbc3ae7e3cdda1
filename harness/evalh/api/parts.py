"""`Parts`: what a workspace is made of, wired: its files, git, models, graders, prices and log.

Verbs take it as `parts`. `api.workspace.Workspace` is the same with a method for each verb, for scripts.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Self

from evalh.api.event_loop import SystemClock
from evalh.api.files import JudgedTree, WorkspaceFiles, cache_dir_of, store_folder_of
from evalh.api.options import RunOptions
from evalh.api.suite_graders import counts_rows, suite_graders, trusting
from evalh.api.targets import Targets, WorkspaceTexts, require_logprobs, require_steps, target_hint, versions_named
from evalh.core.errors import NotFound, UsageError, did_you_mean, one_of
from evalh.core.model import ModelSpec, same_model
from evalh.core.ports import Progress, Provider, Tree
from evalh.core.prompt import PromptRef, PromptVersion
from evalh.core.suite import Suite
from evalh.engine.plan import Plan
from evalh.engine.selection import select
from evalh.graders.judges.asking import Models
from evalh.graders.kinds import Grader, GraderEnvironment
from evalh.pipeline.step import Step
from evalh.plugins import WorkspaceKinds, function_loader, load_plugins, load_provider
from evalh.providers.registry import ProviderContext, kinds, options_of, traits_of
from evalh.providers.registry import build as build_provider
from evalh.routing.target import Target
from evalh.workspace.config import Config, find_root, load_config
from evalh.workspace.dataset.dataset import Dataset, open_dataset
from evalh.workspace.files import WorkTree
from evalh.workspace.prompt.media import media_from
from evalh.workspace.prompt.prompts import Prompts
from evalh.workspace.prompt.templates import compile_version
from evalh.workspace.suites import load_suite, suite_names

if TYPE_CHECKING:
    from evalh.providers.prices import WorkspacePrices
    from evalh.store import Reader, SqliteStore
    from evalh.workspace.git import NoRepository, Repository


class Parts:
    """One workspace: the folder of an evalh.toml."""

    def __init__(
        self, root: Path, env: Mapping[str, str], cache_dir: Path, files: WorkspaceFiles | None = None
    ) -> None:
        """Take the work tree, or the `files` of another revision. Nothing is read yet."""
        self.root = root
        self.started = root  # where a person looked for it
        self.files = files or WorkspaceFiles(WorkTree(root), lambda: root)
        self.tree = self.files.tree
        self.env = env
        self.cache_dir = cache_dir
        self.store_folder = store_folder_of(env, root)
        self.no_git: NoRepository | None = None  # why there is no `repository`
        self.providers: dict[tuple[str, ...], Provider] = {}  # that were built
        self.functions: set[str] = set()  # files whose functions were loaded
        self.grading_code: set[str] = set()  # those of graders
        self.mends = True  # an older log is brought up to date when it is opened
        self.twin: Parts | None = None  # the workspace of which this is another revision

    @classmethod
    def open(
        cls, path: str | Path = ".", *, env: Mapping[str, str] | None = None, cache_dir: Path | None = None
    ) -> Self:
        """Open the workspace around `path`: the nearest evalh.toml upwards, read when it is needed.

        Raises WorkspaceError if there is none.
        """
        env = os.environ if env is None else env
        opened = cls(find_root(Path(path)), env, cache_dir or cache_dir_of(env))
        opened.started = Path(path)
        return opened

    def at(self, files: WorkspaceFiles) -> Self:
        """Return this workspace at another revision; log, cache and environment are shared."""
        other = type(self)(self.root, self.env, self.cache_dir, files)
        other.twin = self
        return other

    # -- what is in it

    @cached_property
    def config(self) -> Config:
        """The content of evalh.toml. Raises WorkspaceError."""
        return load_config(self.tree, options_of)

    @cached_property
    def repository(self) -> "Repository | None":
        """The git repository around the workspace; None if there is none, or git cannot use it (`no_git` says why)."""
        from evalh.workspace.git import NoRepository, probe

        found = probe(self.root)
        if isinstance(found, NoRepository):
            self.no_git = found
            return None
        return found

    def suites(self) -> tuple[str, ...]:
        """Return the names of the suites."""
        return suite_names(self.tree, self.config)

    def suite(self, name: str) -> Suite:
        """Load a suite. Raises NotFound, WorkspaceError."""
        return load_suite(self.tree, self.config, name)

    def dataset(self, name: str) -> Dataset:
        """Open a dataset, checked from end to end. Raises WorkspaceError."""
        return open_dataset(self.judged, self.config, name)

    def dataset_of(self, suite: Suite) -> Dataset:
        """Open a suite's dataset. Raises WorkspaceError; one that is not there is the suite's mistake."""
        try:
            return self.dataset(suite.dataset)
        except NotFound as exc:
            raise NotFound(exc.what, where=suite.where_of("dataset"), hint=exc.hint) from None

    def graders_of(self, suite: Suite, dataset: Dataset | None = None) -> tuple[Grader, ...]:
        """Build a suite's graders, and those of its dataset's rows where it counts them. Raises WorkspaceError."""
        environment = self.grader_environment
        if not counts_rows(suite):
            return suite_graders(suite, environment, ())
        if self.files.candidate is not None:  # a stranger's rows
            environment = trusting(environment, self.files.candidate.base, self.config, suite)
        return suite_graders(suite, environment, dataset or self.dataset_of(suite))

    def prompts(self, revision: str | None = None) -> Prompts:
        """Return the prompts of the work tree, or of a revision. Raises NotFound for an unknown revision."""
        if revision is None:
            return Prompts(self.tree, self.config.prompts_dir, self.config.live)
        if self.repository is None:
            assert self.no_git is not None
            raise UsageError(f"{revision!r} is a git revision: {self.no_git.reason}", hint=self.no_git.hint)
        tree = self.repository.tree(revision)
        return Prompts(tree, self.config.prompts_dir, self.config.live)

    @property
    def under_test(self) -> Prompts:
        """The prompts that suites are about. Judges' prompts are `prompts`, wherever the judged ones come from."""
        candidate = self.files.candidate
        if candidate is None:
            return self.prompts()
        return Prompts(JudgedTree(candidate.tree, self.tree), self.config.prompts_dir, candidate.live)

    @property
    def judged(self) -> Tree:
        """Where what is judged is read from."""
        return self.tree if self.files.candidate is None else self.files.candidate.tree

    def version(self, ref: str | PromptRef, default_name: str | None = None) -> PromptVersion:
        """Load the version that a reference names. Raises NotFound, UsageError, WorkspaceError."""
        if isinstance(ref, str):
            ref = PromptRef.parse(ref)
        prompts = self.under_test if ref.revision is None else self.prompts(ref.revision)
        return prompts.resolve(ref, default_name)

    def version_of(self, suite: Suite, ref: PromptRef) -> PromptVersion:
        """Load a version of a suite's prompt. Raises NotFound at the suite's line if there is no such prompt."""
        try:
            return self.version(ref, suite.prompt)
        except NotFound as exc:
            if ref.name in (None, suite.prompt) and suite.prompt not in self.prompts(ref.revision).names():
                raise NotFound(exc.what, where=suite.where_of("prompt"), hint=exc.hint) from None
            raise

    @property
    def default_prompt(self) -> str | None:
        """The default suite's prompt: what a bare `v3` means."""
        name = self.config.default_suite
        return self.suite(name).prompt if name else None

    # -- what runs

    def plans(self, options: RunOptions) -> list[Plan]:
        """Resolve everything that a run needs, without sending anything. Raises EvalhError."""
        plans = []
        for suite, refs in self._targets(options):
            dataset = self.dataset_of(suite)
            cases, graders = select(dataset, options.selection), self.graders_of(suite, dataset)
            for ref in refs:
                version = self.version_of(suite, ref)
                if version.name != suite.prompt:
                    raise UsageError(
                        f"suite {suite.name!r} uses prompt {suite.prompt!r}, not {version.name!r}",
                        where=suite.where,
                        hint=f"evalh run {quote(version.label)}   runs the suites of this prompt",
                    )
                require_steps(graders, version)
                of_steps = [one for one in options.models if "=" in one and one not in self.config.models]
                if version.pipeline is not None or options.steps or options.given or of_steps:
                    from evalh.api.pipelines import resolved

                    for changed, target, pipeline in resolved(self, suite, version, options):
                        shared = {"graders": graders, "cases": cases, "pipeline": pipeline}
                        plans.append(self._plan(suite, changed, target, options, **shared))
                    continue
                template = compile_version(version, media=partial(media_from, self.judged))
                asked: list[tuple[str, str | None]] = [(model, None) for model in options.models]
                for model, where in asked or [self.targets.default_model(suite, version)]:
                    target = self.targets.target_for(model, version, where)
                    require_logprobs(graders, self.grader_environment, target)
                    step = Step(template, target.settings())
                    plans.append(self._plan(suite, version, target, options, graders=graders, cases=cases, step=step))
        return plans

    def _plan(self, suite: Suite, version: PromptVersion, target: Target, options: RunOptions, **resolved: Any) -> Plan:
        step, pipeline = resolved.pop("step", None), resolved.pop("pipeline", None)
        return Plan(
            suite=suite,
            version=version,
            target=target,
            step=step,
            pipeline=pipeline,
            trials=options.trials or suite.trials,
            resolve=self.targets.resolve,
            build_checks=self.targets.build_checks,
            find_asked=self.targets.asked,
            selection=options.selection.document(),
            checks=self.targets.checks_of(target),
            **resolved,
        )

    def provider(self, model: str, version: PromptVersion | None = None) -> Provider:
        """Build the provider behind a model's name, once; nothing is opened. Raises NotFound, WorkspaceError."""
        spec = self.config.models.get(model)
        if spec is None:
            raise NotFound(f"no model {model!r}", hint=did_you_mean(model, self.config.models))
        self.refuse_unknown_provider(spec)
        twin, traits = self.twin, traits_of(spec.provider)
        if twin and not traits.reads_files and same_model(spec, twin.config.models.get(model)):
            return twin.provider(model, version)  # one model's weights are not loaded twice
        versioned = (version.name, version.version) if version and traits.per_version else ()
        key = (model, *versioned)
        if key not in self.providers:
            context = ProviderContext(
                prompt=version.name if version else None,
                version=version.version if version else None,
                tree=self.tree,
                root=self._provider_root(spec),
                env=self.env,
                cache_dir=self.cache_dir,
                load_function=self.load_function,
            )
            self.providers[key] = build_provider(spec, context)
        return self.providers[key]

    def refuse_unknown_provider(self, spec: ModelSpec) -> None:
        """Raise WorkspaceError where neither evalh, a plugin file nor a package offers a model's provider."""
        _ = self.kinds  # plugin files register providers too
        if spec.provider not in kinds() and not load_provider(spec.provider):
            raise spec.wrong(f"no provider {spec.provider!r}", did_you_mean(spec.provider, kinds()))

    def _provider_root(self, spec: ModelSpec) -> Path:
        """Return the folder in which a provider finds files: of the revision that runs, weights beside it apart.

        Weights are too big for most repositories. Those that git does not hold lie in the checkout, put there by a
        person or by the job itself. Raises WorkspaceError for weights that a stranger brings.
        """
        candidate, traits = self.files.candidate, traits_of(spec.provider)
        if traits.function_in or (traits.runs_code and traits.reads_files):
            return self.files.code()
        if candidate is None:
            return self.root
        path = spec.options.get(traits.weights_in or "")
        if not isinstance(path, str):
            return self.files.code()
        place = self.root / path
        if not place.is_relative_to(self.root) or ".." in place.parts:
            return self.root
        if self.tree.exists(place.relative_to(self.root).as_posix()):
            return self.files.code()
        if candidate.holds(place) or candidate.holds(place.resolve()):
            raise spec.wrong(
                f"{path} is from head, and --trust base must not use it", "--trust base uses only base's weights"
            )
        return self.root

    @cached_property
    def prices(self) -> "WorkspacePrices":
        """Where prices come from: evalh.toml, then the bundled table."""
        from evalh.providers.prices import WorkspacePrices

        return WorkspacePrices()

    @cached_property
    def targets(self) -> Targets:
        """What models and routes of evalh.toml come to, and what graders and checks ask. Raises WorkspaceError."""
        return Targets(self.config, self.provider, self._environment)

    @property
    def grader_environment(self) -> GraderEnvironment:
        """What graders may be handed. Raises WorkspaceError."""
        return self.targets.environment

    def _environment(self, models: Models) -> GraderEnvironment:
        texts = WorkspaceTexts(self.tree, self.prompts)
        return GraderEnvironment(load_function=self._load_grader, kinds=self.kinds, models=models, texts=texts)

    # -- the log

    def open_store(self) -> "SqliteStore":
        """Open the log for writing. Raises EvalhError."""
        from evalh.store import open_store

        return open_store(self.store_folder, clock=SystemClock())

    @contextmanager
    def writing(self, progress: Progress | None) -> Iterator["SqliteStore"]:
        """Open the log for writing. Rows that it does not accept stay beside it, and `progress` reports it.

        Raises EvalhError.
        """
        store = self.open_store()
        try:
            yield store
        finally:
            store.close()
            if store.left is not None and progress is not None:
                progress.note(store.left)

    @cached_property
    def log(self) -> "Reader":
        """The log, for reading. Raises NotFound if nothing was run yet."""
        from evalh.store import open_reader

        return open_reader(self.store_folder, mend=self.mends)

    def read_only(self) -> Self:
        """Return this workspace read again, with a log of its own that is never written. Raises WorkspaceError."""
        other = type(self)(self.root, self.env, self.cache_dir)
        other.mends = False
        _ = other.config
        return other

    # -- code

    @cached_property
    def kinds(self) -> WorkspaceKinds:
        """The kinds of grader that plugins add. Raises WorkspaceError."""
        plugins = self.config.plugins
        code = self.files.code() if plugins else self.root
        return load_plugins(code, plugins, self.config.where_of("workspace", "plugins"))

    def load_function(self, path: str) -> Callable[..., object]:
        """Find a function of the workspace's code. Raises WorkspaceError."""
        self.functions.add(path.rpartition(":")[0])
        return function_loader(self.files.code())(path)

    def _load_grader(self, path: str) -> Callable[..., object]:
        self.grading_code.add(path.rpartition(":")[0])
        return self.load_function(path)

    def provenance(self) -> tuple[str | None, bool | None]:
        """Return the commit that is checked out, and whether files of the workspace differ from it."""
        repository = self.repository
        if repository is None:
            return None, None
        folders = (self.config.prompts_dir, self.config.evals_dir, self.config.datasets_dir, "evalh.toml")
        return repository.head_commit(), repository.dirty(folders)

    def _having(self, version: str | None, names: tuple[str, ...]) -> list[str]:
        """Return the suites whose prompt has this version, the default one first."""
        prompts = self.prompts()
        known = prompts.names()
        of = {name: self.suite(name).prompt for name in names}
        having = [name for name in names if of[name] in known and version in prompts.versions(of[name])]
        return sorted(having, key=lambda name: name != self.config.default_suite)

    def _targets(self, options: RunOptions) -> list[tuple[Suite, tuple[PromptRef, ...]]]:
        """Pair each suite with the versions to run; a target that names no suite names a prompt."""
        refs = tuple(PromptRef.parse(text) for text in options.prompts)
        names = self.suites()
        target = self.config.default_suite if options.target is None else options.target
        if target is None:
            raise UsageError("which suite?", hint=one_of("evalh run {}", names))
        if target in names:
            suite = self.suite(target)
            return [(suite, refs or (PromptRef(suite.prompt, None),))]
        ref = PromptRef.parse(target)
        suites = [suite for suite in map(self.suite, names) if suite.prompt == ref.name]
        if not suites:
            prompts = self.prompts().names()
            raise NotFound(
                f"no suite uses prompt {ref.name!r}" if ref.name in prompts else f"no suite {target!r}",
                where=self.config.where_of("workspace", "default_suite") if options.target is None else None,
                hint=target_hint(ref, names, prompts, self._having(ref.version, names), self.config.evals_dir),
            )
        return [(suite, versions_named(ref, refs, suite.name)) for suite in suites]
