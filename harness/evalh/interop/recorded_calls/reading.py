"""Reading a file of recorded calls or workflows: which form it has, its records, and what could not be read.

Ids come from the content: the same file read twice gives the same records, so that nothing is counted twice.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, BinaryIO, Protocol

from evalh.core.errors import WorkspaceError
from evalh.core.values import Value
from evalh.interop.recorded_calls import chat_calls, litellm_calls, team_runs, votes
from evalh.interop.recorded_calls.lines import Mistake, NotRead, RecordedFile, Row, rows
from evalh_trace.records import AnyRecord, Workflow

_LOOKED_AT = 20  # lines that may be wrong before the form is given up
_SHOWN = 20


class LineReader(Protocol):
    """Makes records of the lines of one form; it may remember earlier lines."""

    def records(self, row: Row) -> Iterator[AnyRecord]:
        """Yield a line's records, the workflow first. Raises NotRead."""


class FileForm(Value):
    """One form of file."""

    name: str
    fits: Callable[[Row], bool]
    reader: Callable[[RecordedFile], LineReader]


FORMS = (
    FileForm("Who&When runs", team_runs.fits, team_runs.TeamRuns),
    FileForm("LiteLLM logging payloads", litellm_calls.fits, litellm_calls.LiteLlmCalls),
    FileForm("OpenAI requests and answers", chat_calls.fits, chat_calls.ChatCalls),
)

VOTES = (FileForm("votes", votes.fits, votes.VoteLines),)


class FileReading:
    """One reading of a file; iterate it once, then ask what was in it."""

    def __init__(self, file: BinaryIO, source: RecordedFile, forms: Sequence[FileForm] = FORMS) -> None:
        """Find the form. Raises WorkspaceError for a file whose first lines have none."""
        self._source = source
        self._rows = rows(file, source.name)
        self.counts: Counter[str] = Counter()
        self.mistakes: list[Mistake] = []  # the first ones
        self.bad_lines = 0
        self.repeated = 0  # lines that stood in the file before
        self._seen: set[str] = set()
        self._read_ahead: list[tuple[int, Row | Mistake]] = []
        self.form = self._find_form(forms)

    def __iter__(self) -> Iterator[AnyRecord]:
        """Yield the records line by line: all of a line, or none where it is wrong."""
        reader = self.form.reader(self._source)
        for number, row in chain(self._read_ahead, self._rows):
            if isinstance(row, Mistake):
                self._note(row)
                continue
            try:
                records = list(reader.records(row))
            except NotRead as exc:
                self._note(Mistake(f"{self._source.name}:{number}", str(exc)))
                continue
            yield from self._counted(records)

    def _counted(self, records: list[AnyRecord]) -> Iterator[AnyRecord]:
        """Count what a line holds; a record of an id that came before replaces it and is not counted again."""
        told = False
        for record in records:
            if record.id not in self._seen:
                self._seen.add(record.id)
                self.counts[type(record).__name__.lower()] += 1
            elif not isinstance(record, Workflow) and not told:  # several calls of one workflow tell it again
                self.repeated += 1
                told = True
            yield record

    def _note(self, mistake: Mistake) -> None:
        self.bad_lines += 1
        if len(self.mistakes) < _SHOWN:
            self.mistakes.append(mistake)

    def _find_form(self, forms: Sequence[FileForm]) -> FileForm:
        for number, row in self._rows:
            self._read_ahead.append((number, row))
            found = None if isinstance(row, Mistake) else next((form for form in forms if form.fits(row)), None)
            if found is not None:
                return found
            if len(self._read_ahead) >= _LOOKED_AT:
                break
        raise _no_form(self._source.name, self._read_ahead, forms)


def _no_form(name: str, lines: Sequence[tuple[int, Any]], forms: Sequence[FileForm]) -> WorkspaceError:
    if not lines:
        return WorkspaceError("has no lines", where=name, hint="one JSON object on each line")
    hint = f"what is read: {', '.join(form.name for form in forms)}; docs/reference/import.md shows a line of each"
    mistake = next((row for _, row in lines if isinstance(row, Mistake)), None)
    if mistake is not None and all(isinstance(row, Mistake) for _, row in lines):
        return WorkspaceError(mistake.what, where=mistake.where, hint=hint)
    number, row = next((number, row) for number, row in lines if not isinstance(row, Mistake))
    keys = ", ".join(sorted(row)[:8]) or "none"
    return WorkspaceError(f"is none of these: its keys are {keys[:200]}", where=f"{name}:{number}", hint=hint)
