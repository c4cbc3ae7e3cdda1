"""A suite's graders, with those that the rows of its dataset bring, before anything is sent."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from shlex import quote

from msgspec.structs import replace

from evalh.core.case import Case
from evalh.core.digest import canonical
from evalh.core.errors import EvalhError, WorkspaceError, did_you_mean
from evalh.core.ports import Tree
from evalh.core.suite import Suite
from evalh.graders.kinds import Grader, GraderEnvironment
from evalh.graders.registry import build_all, complete
from evalh.workspace.config import Config
from evalh.workspace.dataset.dataset import open_dataset


def counts_rows(suite: Suite) -> bool:
    """Whether a suite counts the graders that rows bring."""
    return any(spec.kind == "case" for spec in suite.graders)


def suite_graders(suite: Suite, environment: GraderEnvironment, cases: Iterable[Case]) -> tuple[Grader, ...]:
    """Build a suite's graders and those of the rows that it counts. Raises WorkspaceError at their lines."""
    graders = complete(build_all(suite.graders, environment), cases)
    named = {name for grader in graders for name in (grader.name, *grader.compiled.named)}
    WorkspaceError.raise_all(
        WorkspaceError(
            f"the suite has no grader {rule.grader!r}, and no part of a grader has this name",
            where=suite.where_of("gate.never"),
            hint=did_you_mean(rule.grader, named),
        )
        for rule in suite.gate.never
        if rule.grader not in named
    )
    return graders


def trusting(environment: GraderEnvironment, base: Tree, config: Config, suite: Suite) -> GraderEnvironment:
    """Return what a stranger's rows may be graded with: code and models only as the rows of base name them."""
    from evalh.graders.case import entry_digest

    known: Iterable[Case] = ()
    with suppress(EvalhError):  # the dataset is new, or cannot be read: nothing in it is known
        known = open_dataset(base, config, suite.dataset)
    trusted = frozenset(entry_digest(canonical(entry)) for case in known for entry in case.graders)
    return replace(environment, trusted=trusted)


def notices_of_rows(suite: Suite, graders: Sequence[Grader], cases: Iterable[Case]) -> Iterator[str]:
    """Say which graders of rows count nowhere, and that judges among them are calibrated as one."""
    if not counts_rows(suite):
        bringing = sum(bool(case.graders) for case in cases)
        if bringing:
            rows = f"{bringing} rows of {suite.dataset} bring" if bringing > 1 else f"1 row of {suite.dataset} brings"
            yield f"suite {suite.name}: {rows} graders that this suite does not count (graders: [case])"
    for grader in graders:
        if grader.compiled.rows is not None and grader.asked:
            yield (
                f"suite {suite.name}: judges in rows are calibrated together, as {grader.name}:"
                f" evalh calibrate {quote(grader.name)} does not separate them"
            )
