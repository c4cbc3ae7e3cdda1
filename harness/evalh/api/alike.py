"""`evalh dataset clusters`: which cases of a dataset look alike."""

from typing import TYPE_CHECKING

from evalh.analysis.alike import Proposals, propose
from evalh.core.errors import UsageError

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace


def proposals(workspace: "Workspace", dataset: str | None) -> Proposals:
    """Propose clusters for a dataset, or for the default suite's. Raises EvalhError."""
    default = workspace.config.default_suite
    if dataset is None and default is None:
        raise UsageError("which dataset?", hint="evalh dataset clusters NAME")
    name = dataset if dataset is not None else workspace.suite(str(default)).dataset
    return propose(name, workspace.dataset(name))
