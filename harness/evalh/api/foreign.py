"""`evalh import` of a suite of another program: read it, then write the files of a workspace, all or none."""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from shlex import join, quote
from typing import BinaryIO

from evalh.api.new_workspace import name_of_model, own_workspace, usable_model
from evalh.api.parts import Parts
from evalh.core.errors import EvalhError, UsageError
from evalh.core.values import Value
from evalh.interop.foreign.formats import reader_of
from evalh.interop.foreign.layout import config_text, files_of, models_text
from evalh.interop.foreign.transfer import Fidelity, ImportRequest, NewDataset, Row, Subject, Transfer, free_name
from evalh.report.documents.document import document_of
from evalh.report.documents.incoming import ImportedSuiteDocument
from evalh.report.markdown.imported import import_sheet
from evalh.workspace.files import WorkTree, read_text
from evalh.workspace.toml import parse_toml
from evalh.workspace.writing import new_file

_CONFIG = "evalh.toml"
_MOST_REMOVED = 20  # files that a hint names
_ELSEWHERE = "choose another name for what is imported (--name NAME), or another folder (--into FOLDER)"


class SuiteImportOptions(Value, kw_only=True):
    """What the user chose."""

    into: Path
    name: str | None = None
    dry_run: bool = False
    allow_code: bool = False
    mapping: tuple[str, ...] = ()
    data_only: bool = False
    engine: Path | None = None
    model: str | None = None  # of a new workspace; None: what the rows bring, else the one that can be asked here
    elsewhere: str = _ELSEWHERE  # what to do if a file is there already


def import_suite(form: str, source: Path, options: SuiteImportOptions) -> ImportedSuiteDocument:
    """Read a suite of this format and write its files into a folder; nothing of it is run, fetched or asked.

    Nothing is overwritten: if one of the files is there already, none is written, and a dry run names them. In a
    workspace the models' tables are only returned. Raises EvalhError.
    """
    taken = _tables(options.into)
    transfer = reader_of(form)(_request(source, options, taken))
    counted = [_CountedRows(dataset.rows) for dataset in transfer.datasets]
    transfer.datasets = [NewDataset(one.name, rows) for one, rows in zip(transfer.datasets, counted, strict=True)]
    begun = _begun(transfer, options) if taken is None and not options.data_only else {}
    if taken is not None:
        _name_models(transfer, options.into)
    files = dict(files_of(transfer, str(source))) | begun
    sheet_name = _sheet_name(options.into)
    there = tuple(name for name in files if (options.into / name).exists())
    if there and not options.dry_run:
        where = str(options.into / there[0])
        removal = join(["rm", *(str(options.into / name) for name in there)])
        few = taken is not None and len(there) <= _MOST_REMOVED
        again = f"\nto replace what is there, and lose its changes: {removal}" if few else ""
        raise UsageError("would overwrite a file", where=where, hint=options.elsewhere + again)
    with ExitStack() as all_or_none:
        for name, pieces in files.items():
            file = None if options.dry_run else _opened(all_or_none, options.into / name)
            for piece in pieces:
                if file is not None:
                    file.write(piece)
        document = document_of(
            ImportedSuiteDocument,
            options,
            source=str(source),
            format=form,
            into=str(options.into),
            written=(*files, sheet_name),
            cases=sum(rows.count for rows in counted),
            prompts=sum(map(len, transfer.prompts.values())),
            models=len(transfer.models),
            graders=transfer.sheet.count(Subject.GRADER),
            columns=transfer.columns,
            items=transfer.sheet.items(),
            there=there,
            tables=models_text(transfer.models) if _CONFIG not in begun and transfer.models else None,
        )
        if not options.dry_run:
            text = "".join(f"{line}\n" for line in import_sheet(document))
            _opened(all_or_none, options.into / sheet_name).write(text.encode())
    return document


def _begun(transfer: Transfer, options: SuiteImportOptions) -> dict[str, Iterable[bytes]]:
    """Return what makes a folder a workspace. Rows bring no model: the suite names one that the workspace has."""
    name = next(iter(transfer.suites), None)
    if name is None or not transfer.columns:
        return {_CONFIG: [config_text(transfer.models, name).encode()]}
    suite = transfer.suites[name]
    usual = usable_model(os.environ, installed=find_spec("xllamacpp") is not None, own=True)
    if options.model is not None or "model" not in suite:
        suite["model"] = name_of_model(options.model or usual)
    files = own_workspace(name, options.model or usual, models_text(transfer.models))
    return {at: [content] for at, content in files.items() if at == _CONFIG or not (options.into / at).exists()}


def _name_models(transfer: Transfer, folder: Path) -> None:
    """Let each suite ask the workspace's usual model if nothing of the source names one; say so where there is none."""
    for name, suite in transfer.suites.items():
        versions = transfer.prompts.get(str(suite.get("prompt")), ())
        if "model" in suite or any("model" in version.front for version in versions):
            continue
        usual = None
        with suppress(EvalhError):  # an evalh.toml with a mistake: `evalh check` reports it
            usual = _usual_model(Parts.open(folder))
        if usual is not None:
            suite["model"] = usual
            continue
        why = "the workspace does not say which model answers: add `model: …`"
        do = f"evalh run {quote(name)} --model MODEL"
        transfer.sheet.add(Fidelity.NOTE, f"evals/{name}.yaml", "model", why, subject=Subject.MODEL, do=do)


def _usual_model(parts: Parts) -> str | None:
    """Return the default suite's model, else the only one that suites name, else the only one that there is.

    A model that gives recorded answers has none for other cases.
    """
    models = [name for name, spec in parts.config.models.items() if spec.provider != "replay" and not spec.embeds]
    answering = {*models, *parts.config.routes}
    asked: dict[str, str | None] = {}
    for name in parts.suites():
        with suppress(EvalhError):  # `evalh check` reports it
            asked[name] = parts.suite(name).model
    usual = asked.get(parts.config.default_suite or "")
    named = {model for model in asked.values() if model in answering}
    if usual in answering:
        return usual
    found = named or set(models)
    return next(iter(found)) if len(found) == 1 else None


def _request(source: Path, options: SuiteImportOptions, taken: set[str] | None) -> ImportRequest:
    return ImportRequest(
        source=source,
        into=options.into,
        name=options.name,
        allow_code=options.allow_code,
        taken=frozenset(taken or ()),
        mapping=options.mapping,
        data_only=options.data_only,
        engine=options.engine,
    )


class _CountedRows:
    """A dataset's rows; counts them as they are written."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def _tables(folder: Path) -> set[str] | None:
    """Return the models and routes that a folder's evalh.toml names; None if it has none. Raises WorkspaceError."""
    if not (folder / _CONFIG).exists():
        return None
    value = parse_toml(read_text(WorkTree(folder), _CONFIG), str(folder / _CONFIG)).value
    tables = (value.get(kind) for kind in ("models", "routes"))
    return {name for table in tables if isinstance(table, dict) for name in table}


def _sheet_name(folder: Path) -> str:
    taken = {path.stem for path in folder.glob("IMPORT*.md")} if folder.is_dir() else ()
    return f"{free_name('IMPORT', taken)}.md"


def _opened(stack: ExitStack, path: Path) -> BinaryIO:
    return stack.enter_context(new_file(path, replace=False))
