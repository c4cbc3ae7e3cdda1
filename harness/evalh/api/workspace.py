"""`Workspace`: the façade that scripts, tests and the command line share.

The only place where files, models, the store and the engine are wired together.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalh.api.clock import SystemClock
from evalh.api.files import WorkspaceFiles, cache_dir_of, store_folder_of
from evalh.api.judges import WorkspaceModels, WorkspaceTexts, asked_targets, checks_of, judge_warnings, resolve
from evalh.api.log_place import writing
from evalh.api.options import RunOptions
from evalh.api.providing import provider_of
from evalh.api.runs import Execution, NoProgress, in_loop, target_hint, versions_named
from evalh.api.targets import build_checks, default_model, require_logprobs, target_for, version_for
from evalh.core.digest import JsonValue
from evalh.core.errors import NotFound, UsageError
from evalh.core.ports import Progress, Provider, Tree
from evalh.core.prompt import PromptRef, PromptVersion
from evalh.core.run import Forecast, RunResult
from evalh.core.suite import GraderSpec, Suite
from evalh.engine.forecast import check_inputs, forecast
from evalh.engine.plan import Plan
from evalh.engine.selection import Selection, select
from evalh.graders.registry import GraderEnvironment, build_all
from evalh.graders.registry import build as build_grader
from evalh.pipeline.step import Step
from evalh.plugins import WorkspaceKinds, function_loader, load_plugins
from evalh.workspace.config import Config, find_root, load_config
from evalh.workspace.dataset.dataset import Dataset, open_dataset
from evalh.workspace.files import WorkTree
from evalh.workspace.prompt.media import media_from
from evalh.workspace.prompt.prompts import Prompts
from evalh.workspace.prompt.templates import compile_version
from evalh.workspace.suites import load_suite, suite_names

if TYPE_CHECKING:
    from evalh.analysis.compare.comparison import Comparison
    from evalh.api.otel import Exported, OtelOptions
    from evalh.core.log import CallRow
    from evalh.providers.prices import WorkspacePrices
    from evalh.store import Reader, SqliteStore
    from evalh.workspace.git import NoRepository, Repository


class Workspace:
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
        self._mends = True  # an older log is brought up to date when it is opened
        self.twin: Workspace | None = None  # the workspace of which this is another revision

    @classmethod
    def open(
        cls, path: str | Path = ".", *, env: Mapping[str, str] | None = None, cache_dir: Path | None = None
    ) -> "Workspace":
        """Open the workspace around `path`: the nearest evalh.toml upwards, read when it is needed.

        Raises WorkspaceError where there is none.
        """
        env = os.environ if env is None else env
        opened = cls(find_root(Path(path)), env, cache_dir or cache_dir_of(env))
        opened.started = Path(path)
        return opened

    def at(self, files: WorkspaceFiles) -> "Workspace":
        """Return this workspace as another revision holds it; log, cache and environment are shared."""
        other = Workspace(self.root, self.env, self.cache_dir, files)
        other.twin = self
        return other

    # -- what is in it

    @cached_property
    def config(self) -> Config:
        """The content of evalh.toml. Raises WorkspaceError."""
        return load_config(self.tree)

    @cached_property
    def repository(self) -> "Repository | None":
        """The git repository around the workspace; None: there is none, or git cannot use it (`no_git` says why)."""
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
        return open_dataset(self._judged, self.config, name)

    def dataset_of(self, suite: Suite) -> Dataset:
        """Open a suite's dataset. Raises WorkspaceError; one that is not there is the suite's mistake."""
        try:
            return self.dataset(suite.dataset)
        except NotFound as exc:
            raise NotFound(exc.what, where=suite.where_of("dataset"), hint=exc.hint) from None

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
        """The prompts that suites are about. Judges' prompts are `prompts`, whoever brings what is judged."""
        candidate = self.files.candidate
        return self.prompts() if candidate is None else Prompts(candidate.tree, self.config.prompts_dir, candidate.live)

    @property
    def _judged(self) -> Tree:
        return self.tree if self.files.candidate is None else self.files.candidate.tree

    def version(self, ref: str | PromptRef, default_name: str | None = None) -> PromptVersion:
        """Load the version that a reference names. Raises NotFound, UsageError, WorkspaceError."""
        if isinstance(ref, str):
            ref = PromptRef.parse(ref)
        prompts = self.under_test if ref.revision is None else self.prompts(ref.revision)
        return prompts.resolve(ref, default_name)

    @property
    def default_prompt(self) -> str | None:
        """The default suite's prompt: what a bare `v3` means."""
        name = self.config.default_suite
        return self.suite(name).prompt if name else None

    # -- running

    def run(  # noqa: PLR0913 (a script's convenience: everything but the suite has a default)
        self,
        suite: str | None = None,
        *,
        prompt: str | None = None,
        model: str | None = None,
        trials: int | None = None,
        selection: Selection | None = None,
        concurrency: int | None = None,
        fresh: bool = False,
    ) -> RunResult:
        """Run one suite for one version and model. Raises EvalhError; a failed model call is in the result."""
        options = RunOptions(
            target=suite,
            prompts=(prompt,) if prompt else (),
            models=(model,) if model else (),
            trials=trials,
            selection=selection or Selection(),
            concurrency=concurrency,
            fresh=fresh,
        )
        results = self.run_all(options)
        if len(results) != 1:
            raise UsageError(f"{suite!r} names {len(results)} suites", hint="use run_all, or name one suite")
        return results[0]

    def compare(self, base: str, head: str | None = None, **asked: Any) -> "Comparison":
        """Compare two sides; `asked` holds other fields of `api.options.CompareOptions`. Raises EvalhError."""
        from evalh.api.compare import compared
        from evalh.api.options import CompareOptions

        return compared(self, CompareOptions(base=base, head=head, **asked)).comparison

    def run_all(self, options: RunOptions, progress: Progress | None = None) -> list[RunResult]:
        """Run every pair of version and model. Raises EvalhError."""
        return self.execute(self.plans(options), options, progress)

    def execute(self, plans: Sequence[Plan], options: RunOptions, progress: Progress | None = None) -> list[RunResult]:
        """Carry out plans, one after the other. Raises EvalhError."""
        from evalh import __version__

        for plan in plans:
            check_inputs(plan)
        progress = progress or NoProgress()
        with writing(self, progress) as store:
            return Execution(
                store=store,
                prices=self.prices,
                progress=progress,
                options=options,
                provenance=self.provenance,
                version=__version__,
                asked=lambda plan: asked_targets(self, plan.target, plan.asking),
                warnings=partial(judge_warnings, self),
            ).run(plans)

    def plan_all(self, options: RunOptions) -> list[tuple[str, str, str, Forecast]]:
        """Say what a run would send and cost at most: (suite, prompt, model, forecast) for every pair."""
        plans = self.plans(options)
        store = self.open_store() if os.path.isdir(self.store_folder) else None  # noqa: PTH112 (it raises nothing)
        try:
            return [
                (
                    plan.suite.name,
                    plan.version.label,
                    plan.target.name,
                    forecast(plan, store, self.prices, fresh=options.fresh),
                )
                for plan in plans
            ]
        finally:
            if store is not None:
                store.close()

    def plans(self, options: RunOptions) -> list[Plan]:
        """Resolve everything that a run needs, without sending anything. Raises EvalhError."""
        plans = []
        for suite, refs in self._targets(options):
            cases = select(self.dataset_of(suite), options.selection)
            graders = build_all(suite.graders, self.grader_environment)
            for ref in refs:
                version = version_for(self, suite, ref)
                if version.name != suite.prompt:
                    raise UsageError(
                        f"suite {suite.name!r} is about prompt {suite.prompt!r}, not {version.name!r}",
                        where=suite.where,
                        hint=f"evalh run {version.label}   runs the suites that are",
                    )
                template = compile_version(version, media=partial(media_from, self._judged))
                asked: list[tuple[str, str | None]] = [(model, None) for model in options.models]
                for model, where in asked or [default_model(self, suite, version)]:
                    target = target_for(self, model, version, where)
                    require_logprobs(graders, self.grader_environment, target)
                    plans.append(
                        Plan(
                            suite=suite,
                            version=version,
                            target=target,
                            step=Step(template, target.settings()),
                            graders=graders,
                            cases=cases,
                            trials=options.trials or suite.trials,
                            resolve=partial(resolve, self),
                            build_checks=partial(build_checks, environment=self.grader_environment),
                            checks=checks_of(self, target),
                        )
                    )
        return plans

    def provider(self, model: str, version: PromptVersion | None = None) -> Provider:
        """Build the provider behind a model's name; nothing is opened yet. Raises NotFound, WorkspaceError."""
        return provider_of(self, model, version)

    @cached_property
    def prices(self) -> "WorkspacePrices":
        """Where prices come from: evalh.toml, then the bundled table."""
        from evalh.providers.prices import WorkspacePrices

        return WorkspacePrices()

    @cached_property
    def grader_environment(self) -> GraderEnvironment:
        """What graders may be handed."""
        return GraderEnvironment(
            load_function=self._load_grader,
            kinds=self.kinds,
            models=WorkspaceModels(self),
            texts=WorkspaceTexts(self),
        )

    def judges_by(self, spec: GraderSpec) -> JsonValue:
        """Return what a check's verdicts depend on. Raises WorkspaceError."""
        return build_grader(spec, self.grader_environment).document()

    # -- the log

    def open_store(self) -> "SqliteStore":
        """Open the log for writing. Raises EvalhError."""
        from evalh.store import open_store

        return open_store(self.store_folder, clock=SystemClock())

    @cached_property
    def log(self) -> "Reader":
        """The log, for reading. Raises NotFound where nothing was run yet."""
        from evalh.store import open_reader

        return open_reader(self.store_folder, mend=self._mends)

    def read_only(self) -> "Workspace":
        """Return this workspace read again, with a log of its own that is never written. Raises WorkspaceError."""
        other = Workspace(self.root, self.env, self.cache_dir)
        other._mends = False
        _ = other.config
        return other

    def log_entry(self, name: str) -> tuple[str, object]:
        """Return what an id names, and its kind; see `api.report.entry`. Raises NotFound."""
        from evalh.api.report import entry

        return entry(self, name)

    def calls(self, which: str, run: str | None, limit: int) -> "list[CallRow]":
        """Return calls of the log: all, errors, slow or retried. Raises NotFound for an unknown run."""
        from evalh.store import CallFilter

        run_id = None if run is None else self.log.run(run).record.id
        return self.log.calls(CallFilter(which), run_id, limit)

    def recording(self, run: str) -> Iterator[dict[str, JsonValue]]:
        """Yield a run's answers as rows of a recording. Raises NotFound."""
        return self.log.recording(self.log.run(run).record.id)

    def export_otel(self, run: str, options: "OtelOptions", watch: Callable[[int], None]) -> "Exported":
        """Send a run as spans to an OpenTelemetry collector; `watch` sees how many were taken so far.

        Raises NotFound, UsageError; CannotMeasure where no collector is there, or it says no.
        """
        from evalh.api.otel import export

        return in_loop(export(self, run, options, watch))

    # -- inside

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

    def _targets(self, options: RunOptions) -> list[tuple[Suite, tuple[PromptRef, ...]]]:
        """Pair each suite with the versions to run; a target that names no suite names a prompt."""
        refs = tuple(PromptRef.parse(text) for text in options.prompts)
        names = self.suites()
        target = self.config.default_suite if options.target is None else options.target
        if target is None:
            raise UsageError("which suite?", hint=f"evalh run {' | '.join(names)}; or set default_suite in evalh.toml")
        if target in names:
            suite = self.suite(target)
            return [(suite, refs or (PromptRef(suite.prompt, None),))]
        ref = PromptRef.parse(target)
        suites = [suite for suite in map(self.suite, names) if suite.prompt == ref.name]
        if not suites:
            raise NotFound(
                f"no suite and no prompt with a suite is called {target!r}",
                where=self.config.where_of("workspace", "default_suite") if options.target is None else None,
                hint=target_hint(ref, names, self.prompts().names(), self.config.evals_dir),
            )
        return [(suite, versions_named(ref, refs, suite.name)) for suite in suites]
