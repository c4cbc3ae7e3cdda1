"""`evalh dataset clusters`, `dedupe`, `sample` and `split`: what is alike in a dataset, and parts of it."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from shlex import quote

from evalh.analysis.duplicates import Duplicates, find_duplicates
from evalh.analysis.near_duplicates import Proposals, propose
from evalh.analysis.subsets import CaseSubset, DatasetPart, DatasetParts, SampleOptions, clusters_of, sample, split
from evalh.api.parts import Parts
from evalh.core.errors import UsageError, WorkspaceError
from evalh.workspace.dataset.dataset import Dataset
from evalh.workspace.kept.labels import labelled_rows
from evalh.workspace.writing import new_file

_NAMED = 5
_LONGEST_PART = 40
_LEAST_SHARE = Decimal("0.001")
_SUFFIXES = (".jsonl", ".csv")


def proposals(parts: Parts, dataset: str | None) -> Proposals:
    """Propose clusters for a dataset, or for the default suite's. Raises EvalhError."""
    name = _named(parts, dataset, "clusters")
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
            hint = f"write the clusters yourself: evalh dataset clusters {quote(found.dataset)}"
            what = f"the row of {case.id!r} has a cluster already, {case.cluster!r}; nothing was written"
            raise UsageError(what, where=case.where, hint=hint)
    _refuse_uncommitted(parts, dataset, force=force)
    with new_file(parts.root / dataset.path) as file:
        file.writelines(dataset.with_clusters(clusters))
    return dataset.path


def duplicates(parts: Parts, dataset: str | None) -> Duplicates:
    """Find the rows of a dataset, or of the default suite's, that ask the same. Raises EvalhError."""
    from evalh.store.rows import case_row

    name = _named(parts, dataset, "dedupe")
    cases = parts.dataset(name)
    rows = labelled_rows(parts.tree, parts.config.datasets_dir)
    return find_duplicates(name, cases, {case.id for case in cases if case_row(case)[1] in rows} if rows else set())


def remove_duplicates(parts: Parts, found: Duplicates, *, force: bool = False) -> str | None:
    """Remove the rows that repeat an earlier one but for the id; return the dataset's path, None if there are none.

    Raises EvalhError, and writes nothing, if a row says something of its own or was labelled; unless forced, where git
    cannot bring the file back.
    """
    if not found.equal:
        return None
    dataset = parts.dataset(found.dataset)
    own = [one for one in found.equal if not one.spare]
    if own:
        told = [f"the row of {one.id!r} repeats {one.first!r}, but {one.own}" for one in own[:_NAMED]]
        more = [f"and {len(own) - _NAMED} more rows"] if len(own) > _NAMED else []
        what = "; ".join([*told, *more, "nothing was written"])
        hint = "decide which row stays: make the rows equal except for the id, or remove one"
        raise UsageError(what, where=own[0].where, hint=hint)
    if dataset.digest != found.digest:
        raise WorkspaceError("changed while evalh read it", where=dataset.path, hint="run the command again")
    _refuse_uncommitted(parts, dataset, force=force)
    removed = {one.id for one in found.equal}
    kept = {case.id for case in dataset} - removed
    with new_file(parts.root / dataset.path) as file:
        file.writelines(dataset.only(kept))
    return dataset.path


def write_sample(parts: Parts, name: str, target: Path, options: SampleOptions, *, force: bool) -> DatasetParts:
    """Write rows drawn from a dataset into a file. Raises EvalhError."""
    dataset = parts.dataset(name)
    suffix = PurePosixPath(dataset.path).suffix
    if target.suffix != suffix:
        what = f"rows of {dataset.path} keep their format: the file's name must end in {suffix}"
        raise UsageError(what, where=str(target), hint=f"-o FILE{suffix}")
    if os.path.realpath(target) == os.path.realpath(parts.root / dataset.path):
        raise UsageError(
            "is the dataset itself", where=str(target), hint=f"-o {quote(f'{target.stem}-sample{suffix}')}"
        )
    drawn = sample(clusters_of(dataset), options)
    _write(dataset, {target: drawn}, force=force)
    part = DatasetPart(part=None, path=str(target), cases=drawn.cases, clusters=drawn.clusters)
    return _written(name, dataset, options.seed, (part,))


def write_split(parts: Parts, name: str, shares: Mapping[str, Decimal], *, seed: int, force: bool) -> DatasetParts:
    """Write each row of a dataset into the file of one part, beside the dataset. Raises EvalhError."""
    dataset = parts.dataset(name)
    path = PurePosixPath(dataset.path)
    found = clusters_of(dataset)
    made = split(found, shares, seed)
    empty = next((part for part, one in made.items() if not one.cases), None)
    if empty is not None:
        what = f"part {empty!r} with share {shares[empty]} gets none of the {len(found)} clusters"
        raise UsageError(what, where=dataset.path, hint="use a larger share, or another --seed")
    paths = {part: str(path.with_name(f"{path.stem}-{part}{path.suffix}")) for part in made}
    for one in paths.values():
        other = next(str(PurePosixPath(one).with_suffix(end)) for end in _SUFFIXES if not one.endswith(end))
        if parts.tree.exists(other):
            what = f"exists already: with {one} the name would mean both"
            raise UsageError(what, where=other, hint="remove it, or give the part another name")
    _write(dataset, {parts.root / paths[part]: one for part, one in made.items()}, force=force)
    written = tuple(
        DatasetPart(part=part, path=paths[part], cases=one.cases, clusters=one.clusters, share=shares[part])
        for part, one in made.items()
    )
    return _written(name, dataset, seed, written)


def refuse_shares(shares: Mapping[str, Decimal]) -> None:
    """Refuse shares that make no parts. Raises UsageError."""
    hint = "--parts dev=0.5,test=0.5"
    for part, share in shares.items():
        if not part.replace("-", "").replace("_", "").isalnum() or not part.isascii() or len(part) > _LONGEST_PART:
            what = f"{part[:_LONGEST_PART]!r} cannot name a part: up to {_LONGEST_PART} letters, digits, - and _"
            raise UsageError(what, hint=hint)
        if not share.is_finite() or not _LEAST_SHARE <= share < 1:
            raise UsageError(f"the share of {part!r} must be from {_LEAST_SHARE} to less than 1", hint=hint)
    if sum(map(Fraction, shares.values())) != 1:
        raise UsageError(f"the shares must sum to 1, not to {sum(shares.values())}", hint=hint)


def _named(parts: Parts, dataset: str | None, verb: str) -> str:
    if dataset is not None:
        return dataset
    default = parts.config.default_suite
    if default is None:
        raise UsageError("which dataset?", hint=f"evalh dataset {verb} NAME")
    return parts.suite(default).dataset


def _refuse_uncommitted(parts: Parts, dataset: Dataset, *, force: bool) -> None:
    repository = parts.repository
    if not force and repository is not None and repository.file_state(dataset.path).dirty:
        hint = "commit it first, so that git can restore it; or use --force"
        raise UsageError("has uncommitted changes; nothing was written", where=dataset.path, hint=hint)


def _written(name: str, dataset: Dataset, seed: int, written: tuple[DatasetPart, ...]) -> DatasetParts:
    alike = propose(name, dataset, fast=True)
    return DatasetParts(
        dataset=name,
        seed=seed,
        cases=alike.cases,
        clusters=alike.clusters,
        untied=len(alike.proposed),
        parts=written,
    )


def _write(dataset: Dataset, files: Mapping[Path, CaseSubset], *, force: bool) -> None:
    """Write all files or none, as far as a file system can. Raises EvalhError."""
    hint = "--force replaces it"
    for target in files:
        if os.path.lexists(target) and not force:
            raise UsageError("exists already; nothing was written", where=str(target), hint=hint)
    try:
        with ExitStack() as stack:
            opened = [(stack.enter_context(new_file(at, replace=force)), some) for at, some in files.items()]
            for file, some in opened:
                file.writelines(dataset.only(some.ids))
    except FileExistsError:  # another process was faster
        raise UsageError("is there already", where=", ".join(map(str, files)), hint=hint) from None
