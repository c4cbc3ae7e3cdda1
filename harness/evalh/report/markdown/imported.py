"""IMPORT.md: the proof sheet of an import, so that a reviewer sees what was lost."""

from collections.abc import Iterator

from evalh.report.documents.incoming import ImportedPart, ImportedSuiteDocument
from evalh.report.markdown.run import code
from evalh.report.text import plural

_WIDTH = 300
_TITLES = {
    "not": ("Left out", "These decide or change something, and are not in the workspace."),
    "near": ("Near", "These are there, and may decide differently."),
    "note": ("Notes", "These decide nothing."),
    "same": ("The same", "These give the same requests and verdicts."),
}

_CHANGED = "To change one, remove the files that this import wrote, and import again with `--map NAME=COLUMN`."


def import_sheet(document: ImportedSuiteDocument) -> Iterator[str]:
    """Yield the lines of the sheet."""
    yield f"# Imported from {code(document.source)}"
    yield ""
    counts = document.graders
    yield (
        f"Format {code(document.format)}: {plural(document.cases, 'case')}, {plural(document.prompts, 'prompt')}, "
        f"{plural(document.models, 'model')}. Graders: {counts['same']:,} the same, {counts['near']:,} near, "
        f"{counts['not']:,} left out."
    )
    if document.columns:
        yield from (
            "",
            "## Columns",
            "",
            _CHANGED,
            "",
        )
        yield from ("| column | is |", "|---|---|")
        for one in document.columns:
            role = one.role if not one.key or one.key == one.name else f"{one.role} {one.key}"
            yield f"| {code(one.name, _WIDTH)} | {code(role)}{', guessed by its name' if one.guessed else ''} |"
    for status, (title, about) in _TITLES.items():
        items = [item for item in document.items if item.status == status]
        if items:
            yield from ("", f"## {title}", "", about, "")
            yield from _table(items)


def _table(items: list[ImportedPart]) -> Iterator[str]:
    yield "| where | what | why | what to do |"
    yield "|---|---|---|---|"
    for item in items:
        more = item.count - len(item.where)
        places = ", ".join(code(place) for place in item.where) + (f" and {more:,} more" if more > 0 else "")
        cells = (places, code(item.what, _WIDTH), _cell(item.why), _cell(item.do))
        yield f"| {' | '.join(cells)} |"


def _cell(text: str | None) -> str:
    return code(text, _WIDTH) if text else "–"
