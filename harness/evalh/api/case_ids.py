"""Case ids that nobody can print: a name that ends a line, moves a cursor or reverses a line."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evalh.core.case import Case
from evalh.core.errors import EvalhError, WorkspaceError
from evalh.core.suite import Suite
from evalh.report.text import safe
from evalh.workspace.datasets import Dataset, open_dataset

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace


def odd_ids(workspace: "Workspace", suite: Suite, dataset: Dataset) -> Iterator[WorkspaceError | str]:
    """Yield an error for each new id with a control character, and a notice for one that the base branch has too.

    To rename an old one would cost its answers, and look like a deleted case; whatever prints it shows an escape.
    """
    odd = [case for case in dataset if _is_odd(case)]
    known = _known_on_base(workspace, suite, {case.id for case in odd}) if odd else set()
    for case in odd:
        if case.id in known:
            yield f"{case.where}: the case id {safe(case.id)!r} holds a control character; base has it too"
        else:
            hint = "an id is printed in every log: letters, digits, . _ - are enough"
            yield WorkspaceError(f"the case id {case.id!r} holds a control character", where=case.where, hint=hint)


def _is_odd(case: Case) -> bool:
    return "\t" in case.id or safe(case.id) != case.id


def _known_on_base(workspace: "Workspace", suite: Suite, ids: set[str]) -> set[str]:
    repository = workspace.repository
    try:
        base = None if repository is None else repository.base_revision(workspace.config.base)
        if repository is None or base is None:
            return set()
        return {case.id for case in open_dataset(repository.tree(base), workspace.config, suite.dataset)} & ids
    except EvalhError:  # base has no such dataset, or one that cannot be read
        return set()
