"""An imported suite in a terminal: what was written, what was lost, what to type next."""

from collections.abc import Iterator, Sequence
from shlex import quote

from rich.console import Console

from evalh.report.documents.incoming import ImportedColumn, ImportedSuiteDocument
from evalh.report.terminal.console import StyledText
from evalh.report.text import one_line, plural

_LONGEST = 400
_LONGEST_NAME = 80
_SHOWN = 40
_ROLES = "id, expected, tags, cluster, output, skip, or what the prompt calls an input"
_STYLES = {"not": "red", "near": "yellow", "note": "dim"}


def next_steps(document: ImportedSuiteDocument) -> str:
    """Return what to type next: with recorded outputs, what grades and compares them."""
    models = [one.key for one in document.columns if one.role == "output"]
    run = " ".join(["evalh run", *(f"-m {quote(model)}" for model in models if len(models) > 1)])
    return (
        f"{run}, then evalh compare {quote(f'v1@{models[0]}')} {quote(f'v1@{models[1]}')}" if len(models) > 1 else run
    )


def column_lines(columns: Sequence[ImportedColumn]) -> Iterator[str]:
    """Yield what each column of rows is for, and how to change a guess."""
    for one in columns[:_SHOWN]:
        called = f" {one.key}" if one.role in ("input", "output") and one.key != one.name else ""
        inside = f".{one.key}" if one.role == "expected" and one.key else ""
        by_name = ", guessed by its name" if one.guessed else ""
        yield f"column {one_line(one.name, _LONGEST_NAME)}: {one.role}{inside}{called}{by_name}"
    if len(columns) > _SHOWN:
        yield f"… and {len(columns) - _SHOWN} more columns"
    if columns:
        yield f"to change what a column is: --map NAME=COLUMN; NAME is {_ROLES}"


def show_imported(console: Console, document: ImportedSuiteDocument) -> None:
    """Print what became of a suite."""
    counts = document.graders
    parts = [
        plural(document.cases, "case"),
        plural(document.prompts, "prompt"),
        plural(document.models, "model"),
    ]
    if any(counts.values()):  # rows alone bring no grader
        parts.append(f"graders: {counts['same']:,} same, {counts['near']:,} near, {counts['not']:,} not")
    console.print(StyledText(f"{document.source}: {document.format}: {', '.join(parts)}"), soft_wrap=True)
    for line in column_lines(document.columns):
        console.print(StyledText(line), soft_wrap=True)
    told = [item for item in document.items if item.status in _STYLES]
    for item in told[:_SHOWN]:
        place = item.where[0] + (f" (×{item.count})" if item.count > 1 else "")
        why = f": {item.why}" if item.why else ""
        line = one_line(f"{item.status:<4} {place}: {item.what}{why}", _LONGEST)
        console.print(StyledText(line, _STYLES[item.status]), soft_wrap=True)
    if len(told) > _SHOWN:
        console.print(StyledText(f"… and {len(told) - _SHOWN} more in IMPORT.md", "dim"))
    verb = "would write" if document.dry_run else "wrote"
    for path in document.written:
        taken = path in document.there
        line = f"cannot write {path}: it is there already" if taken else f"{verb} {path}"
        console.print(StyledText(line, "red" if taken else ""), soft_wrap=True)
    if document.tables:
        console.print(StyledText("the workspace has an evalh.toml: add these tables to it"))
        for line in document.tables.splitlines():
            console.print(StyledText(f"  {line}"), soft_wrap=True)
