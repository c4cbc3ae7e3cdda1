"""`evalh dataset clusters`: which cases of a dataset look alike."""

from evalh.analysis.near_duplicates import Proposals, propose
from evalh.api.parts import Parts
from evalh.core.errors import UsageError
from evalh.workspace.writing import new_file


def proposals(parts: Parts, dataset: str | None) -> Proposals:
    """Propose clusters for a dataset, or for the default suite's. Raises EvalhError."""
    default = parts.config.default_suite
    if dataset is None and default is None:
        raise UsageError("which dataset?", hint="evalh dataset clusters NAME")
    name = dataset if dataset is not None else parts.suite(str(default)).dataset
    return propose(name, parts.dataset(name))


def write_clusters(parts: Parts, found: Proposals, *, force: bool = False) -> str | None:
    """Write what was proposed into the dataset's rows; return its path, None if nothing was proposed.

    Raises EvalhError if a row names a cluster already, and, unless forced, where git cannot bring the file back.
    """
    clusters = {case: one.cluster for one in found.proposed for case in one.cases}
    if not clusters:
        return None
    dataset = parts.dataset(found.dataset)
    for case in dataset:
        if case.cluster is not None and case.id in clusters:
            hint = f"name the clusters by hand: evalh dataset clusters {found.dataset}"
            what = f"the row of {case.id!r} names a cluster already, {case.cluster!r}; nothing was written"
            raise UsageError(what, where=case.where, hint=hint)
    repository = parts.repository
    if not force and repository is not None and repository.file_state(dataset.path).dirty:
        hint = "commit it first, so that git can bring it back; or --force"
        raise UsageError("differs from the last commit; nothing was written", where=dataset.path, hint=hint)
    with new_file(parts.root / dataset.path) as file:
        file.writelines(dataset.with_clusters(clusters))
    return dataset.path
