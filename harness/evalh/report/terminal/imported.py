"""An imported suite in a terminal: what was written, what was lost, what to type next."""

from rich.console import Console

from evalh.report.documents.incoming import ImportedSuiteDocument
from evalh.report.terminal.console import StyledText
from evalh.report.text import one_line, plural

_LONGEST = 400
_SHOWN = 40
_STYLES = {"not": "red", "near": "yellow", "note": "dim"}


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
