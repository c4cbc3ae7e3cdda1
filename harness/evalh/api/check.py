"""`evalh check`: every file of the workspace, read as a run would read it, with nothing sent.

Case ids that nobody can print: a name that ends a line, moves a cursor or reverses a line.
"""

from collections.abc import Generator, Iterator, Sequence
from shlex import quote

from msgspec import Struct, field

from evalh.analysis.compare.comparison import listed
from evalh.analysis.near_duplicates import propose
from evalh.api.dead_graders import dead_graders
from evalh.api.files import brought_log
from evalh.api.gold import impossible_golds
from evalh.api.judges import kinship, stale_calibrations
from evalh.api.parts import Parts
from evalh.api.pipeline_check import graded_steps, step_problems
from evalh.api.sides import base_of_frozen
from evalh.api.suite_graders import notices_of_rows
from evalh.core.case import INCIDENT
from evalh.core.errors import CannotMeasure, EvalhError, NotFound, WorkspaceError, did_you_mean
from evalh.core.prompt import PromptVersion
from evalh.core.suite import Suite
from evalh.engine.gate.evidence import unguarded
from evalh.engine.selection import counted_clusters
from evalh.graders.judges.prefer import pairwise
from evalh.graders.kinds import Grader
from evalh.graders.registry import build_all
from evalh.providers.prices import refuse_unlisted
from evalh.providers.registry import traits_of
from evalh.report.text import plural, safe
from evalh.routing.target import models_of
from evalh.workspace.dataset.dataset import Dataset, open_dataset
from evalh.workspace.kept.baselines import baseline_problems
from evalh.workspace.kept.labels import label_problems
from evalh.workspace.prompt.prompts import Prompts, frozen_edits
from evalh.workspace.prompt.templates import check_inputs

_MOST_FILES = 6  # named in the last line


def odd_ids(parts: Parts, suite: Suite, dataset: Dataset) -> Iterator[WorkspaceError | str]:
    """Yield an error for each new id with a control character, and a notice for one that the base branch has too.

    To rename an old one would cost its answers, and look like a deleted case; whatever prints it shows an escape.
    """
    odd = [case for case in dataset if "\t" in case.id or safe(case.id) != case.id]
    known = _known_on_base(parts, suite, {case.id for case in odd}) if odd else set()
    for case in odd:
        if case.id in known:
            yield f"{case.where}: the case id {safe(case.id)!r} holds a control character; base has it too"
        else:
            hint = "use letters, digits, . _ - in ids: they are printed in every log"
            yield WorkspaceError(f"the case id {case.id!r} holds a control character", where=case.where, hint=hint)


def _known_on_base(parts: Parts, suite: Suite, ids: set[str]) -> set[str]:
    repository = parts.repository
    try:
        base = None if repository is None else repository.base_revision(parts.config.base)
        if repository is None or base is None:
            return set()
        return {case.id for case in open_dataset(repository.tree(base), parts.config, suite.dataset)} & ids
    except EvalhError:  # base has no such dataset, or one that cannot be read
        return set()


class CheckOutcome(Struct):
    """What was found. `problems` make the check fail; `notices` say what could not be checked."""

    problems: list[EvalhError] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    datasets: dict[str, int] = field(default_factory=dict)  # cases of each file that a suite names

    @property
    def line(self) -> str:
        """One line for people."""
        counted = ", ".join(f"{count} {what if count != 1 else what[:-1]}" for what, count in self.counts.items())
        found = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}" if self.problems else "ok"
        return f"{found}: {counted}{self._files()}"

    def _files(self) -> str:
        """Say which file has how many cases."""
        if len(self.datasets) == 1:
            return f" in {next(iter(self.datasets))}"
        told = ", ".join(f"{count} in {path}" for path, count in list(self.datasets.items())[:_MOST_FILES])
        more = f", {len(self.datasets) - _MOST_FILES} more files" if len(self.datasets) > _MOST_FILES else ""
        return f" ({told}{more})" if told else ""


def check_workspace(parts: Parts) -> CheckOutcome:
    """Read everything and report every problem, not only the first."""
    outcome = CheckOutcome()
    prompts = parts.prompts()
    suites = parts.suites()
    outcome.counts = {"prompts": 0, "versions": 0, "suites": len(suites), "cases": 0}
    _check_prompts(prompts, outcome)
    outcome.problems.extend(step_problems(parts, prompts))
    default = parts.config.default_suite
    if default is not None and default not in suites:
        where = parts.config.where_of("workspace", "default_suite")
        outcome.problems.append(NotFound(f"no suite {default!r}", where=where, hint=did_you_mean(default, suites)))
    outcome.problems.extend(_model_problems(parts))
    outcome.problems.extend(_route_problems(parts))
    for name in suites:
        try:
            suite = parts.suite(name)
        except EvalhError as exc:
            outcome.problems += (exc, *exc.others)
            continue
        outcome.problems.extend(_suite_problems(parts, suite, prompts, outcome))
    _check_frozen(parts, prompts, outcome)
    # `calibrate`, `gate` and `drift` read these, often months later.
    outcome.problems.extend(label_problems(parts.tree, parts.config.datasets_dir))
    outcome.problems.extend(baseline_problems(parts.tree))
    if (brought := brought_log(parts.store_folder, parts.root, parts.repository)) is not None:
        outcome.problems.append(brought)
    return outcome


def _check_prompts(prompts: Prompts, outcome: CheckOutcome) -> None:
    try:
        outcome.problems.extend(prompts.check_all())
        names = prompts.names()
        outcome.counts["prompts"] = len(names)
        outcome.counts["versions"] = sum(len(prompts.versions(name)) for name in names)
    except EvalhError as exc:  # the folders themselves cannot be walked: a link that leads out
        outcome.problems.append(exc)


def _suite_problems(parts: Parts, suite: Suite, prompts: Prompts, outcome: CheckOutcome) -> Iterator[EvalhError]:
    config = parts.config
    known = (*config.models, *config.routes)
    if suite.model is not None and suite.model not in known:
        yield parts.targets.no_model(suite.model, suite.where_of("model"))
    dataset, unread = None, None
    try:
        dataset = parts.dataset_of(suite)
    except EvalhError as exc:
        unread = exc
    graders = yield from _grader_problems(parts, suite, dataset, outcome)
    if dataset is None:
        assert unread is not None
        yield unread
        return
    outcome.datasets[dataset.path] = len(dataset)
    outcome.counts["cases"] = sum(outcome.datasets.values())  # several suites may share a file
    outcome.notices.extend(one for one in _alike(suite.dataset, dataset) if one not in outcome.notices)
    yield from _must_pass_problems(suite, dataset)
    outcome.notices.extend(_incident_notices(suite, dataset))
    for odd in odd_ids(parts, suite, dataset):
        if isinstance(odd, EvalhError):
            yield odd
        else:
            outcome.notices.append(odd)
    yield from _prompt_problems(parts, (suite, graders), prompts, dataset, outcome)


def _grader_problems(
    parts: Parts, suite: Suite, dataset: Dataset | None, outcome: CheckOutcome
) -> Generator[EvalhError, None, Sequence[Grader]]:
    """Build a suite's graders, and those of its rows where these can be read; return them, none if one is wrong."""
    graders: Sequence[Grader] = ()
    try:
        if dataset is None:
            graders = build_all(suite.graders, parts.grader_environment)
        else:
            graders = parts.graders_of(suite, dataset)
        judges = pairwise(suite.compare, parts.grader_environment)
        outcome.notices.extend(stale_calibrations(parts.tree, suite.name, [*graders, *judges]))
    except EvalhError as exc:
        yield from (exc, *exc.others)
        return graders
    asked = [(one.name, one.models) for one in graders] + [(one.name, (one.model,)) for one in judges]
    outcome.notices.extend(_kin(parts, suite, asked))
    outcome.notices.extend(notices_of_rows(suite, graders, dataset or ()))
    return graders


def _prompt_problems(
    parts: Parts,
    judged: tuple[Suite, Sequence[Grader]],
    prompts: Prompts,
    dataset: Dataset,
    outcome: CheckOutcome,
) -> Iterator[EvalhError]:
    """Hold a suite's dataset and its graders against the versions of its prompt."""
    suite = judged[0]
    try:
        names = prompts.versions(suite.prompt)
    except NotFound as exc:
        yield NotFound(exc.what, where=suite.where_of("prompt"), hint=exc.hint)
        return
    try:
        versions = [prompts.load(suite.prompt, version) for version in names]
    except EvalhError as exc:
        if exc.what not in {problem.what for problem in outcome.problems}:
            yield exc
        return
    yield from _input_problems(versions, dataset)
    try:
        in_use = parts.version(suite.prompt)
    except EvalhError as exc:
        yield exc
        return
    refused = list(impossible_golds(suite.graders, in_use, dataset))
    yield from refused
    for dead in () if in_use.pipeline is not None else dead_graders(judged[1], in_use, dataset, refused):
        if isinstance(dead, EvalhError):
            yield dead
        else:
            outcome.notices.append(dead)
    yield from graded_steps(parts, judged, versions, in_use, dataset)


def _must_pass_problems(suite: Suite, dataset: Dataset) -> Iterator[EvalhError]:
    """Find `must_pass` cases and tags that do not exist: a misspelt name would protect nothing."""
    rule = suite.gate.must_pass
    if rule is None:
        return
    ids = {case.id for case in dataset}
    tags = frozenset[str]().union(*(case.tags for case in dataset))
    for name in sorted(rule.cases - ids):
        what = f"must_pass names case {name!r}, which is not in dataset {suite.dataset}"
        yield WorkspaceError(what, where=suite.where_of("gate.must_pass"), hint=did_you_mean(name, ids))
    # A suite may wait for its first incident, if the rule holds something else until then.
    waits = {INCIDENT} if any(rule.takes(case.id, case.tags) for case in dataset) else set[str]()
    for name in sorted(rule.tags - tags - waits):
        what = f"must_pass names the tag {name!r}, which no case of dataset {suite.dataset} has"
        yield WorkspaceError(what, where=suite.where_of("gate.must_pass"), hint=did_you_mean(name, tags))


def _incident_notices(suite: Suite, dataset: Dataset) -> Iterator[str]:
    """Say which rows are in no rate although nothing says where they were found, and which no rule holds.

    The tag takes a case out of the good rate: who uses it otherwise must be told.
    """
    incidents = [case for case in dataset if case.incident]
    if unfounded := [case for case in incidents if case.source is None]:
        ids = listed([safe(case.id) for case in unfounded], 5)
        yield (
            f"{unfounded[0].where}: {plural(len(unfounded), 'row')} with the tag {INCIDENT} and no source ({ids}):"
            " the tag takes a case out of the good rate; if the tag means something else here, rename it"
        )
    yield from (f"suite {suite.name}: {safe(line)}" for line in unguarded(suite.gate.must_pass, incidents))


def _alike(name: str, dataset: Dataset) -> Iterator[str]:
    """Say which cases count as one, and which look as if they should."""
    found, (cases, clusters) = propose(name, dataset, fast=True), counted_clusters(dataset)
    if clusters < cases:
        yield f"dataset {name}: {cases} cases in {clusters} clusters, which the statistics count"
    if found.proposed:
        alike = sum(len(one.cases) for one in found.proposed)
        yield (
            f"dataset {name}: {alike} cases look like templates, the same except names and numbers; if they are right"
            f" or wrong together, name their clusters (evalh dataset clusters {quote(name)})"
        )


def _kin(parts: Parts, suite: Suite, asked: Sequence[tuple[str, Sequence[str]]]) -> Iterator[str]:
    """Say which judges belong to the family of the suite's default model; nothing if that is unknown."""
    try:
        model = suite.model or parts.version(suite.prompt).model
        judged = parts.targets.sent_as(model) if model is not None else {}
    except EvalhError:  # reported elsewhere
        return
    yield from dict.fromkeys(kinship(parts, asked, judged))


def _route_problems(parts: Parts) -> Iterator[EvalhError]:
    """Follow each route to its models, and compile its checks."""
    config = parts.config
    for route in config.routes.values():
        try:
            models_of(route, config.routes, tuple(config.models))
            parts.targets.route_checks(route)
        except EvalhError as exc:
            yield exc


def _model_problems(parts: Parts) -> Iterator[EvalhError]:
    """Find providers that nobody offers, scripts that are not there, and weights that evalh does not know by name.

    Keys and files of weights are `evalh doctor`'s.
    """
    for spec in parts.config.models.values():
        try:
            parts.refuse_unknown_provider(spec)
            refuse_unlisted(spec)
            traits = traits_of(spec.provider)
            if traits.function_in or (traits.weights_in and traits.weights_in not in spec.options):
                parts.provider(spec.name)
        except EvalhError as exc:
            yield exc


def _input_problems(versions: Sequence[PromptVersion], dataset: Dataset) -> Iterator[EvalhError]:
    """Name the first case that lacks a variable, for each version and set of inputs."""
    seen: set[frozenset[str]] = set()
    for case in dataset:
        names = frozenset(case.inputs)
        if names in seen:
            continue
        seen.add(names)
        for version in versions:
            for variable in check_inputs(version, names):
                yield WorkspaceError(
                    f"case {case.id!r} gives no {variable!r}, which {version.label} uses",
                    where=case.where,
                    hint=f"it gives: {', '.join(sorted(names)) or 'nothing'}",
                )


def _check_frozen(parts: Parts, prompts: Prompts, outcome: CheckOutcome) -> None:
    repository = parts.repository
    if repository is None:
        found = parts.no_git
        assert found is not None
        told = f"{found.reason}: evalh cannot check whether frozen versions were edited"
        if found.broken:
            outcome.problems.append(CannotMeasure(told, hint=found.hint))
        else:
            outcome.notices.append(f"{told} ({found.hint})")
        return
    try:
        base, notice = base_of_frozen(parts)
        outcome.notices += [notice] if notice else []
        if base is None:
            return
        edited = frozen_edits(parts.prompts(base), prompts)
    except EvalhError as exc:
        outcome.problems.append(exc)
        return
    outcome.problems.extend(edited)
