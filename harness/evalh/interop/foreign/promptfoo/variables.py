"""The variables of a test: lists that multiply it, files that are read, variables inside variables."""

import json
import re
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.promptfoo.nodes import is_code
from evalh.interop.foreign.promptfoo.nunjucks import NotRenderedError, is_left_alone, js_text, render, translated
from evalh.interop.foreign.promptfoo.sources import SourceFiles
from evalh.interop.foreign.transfer import Fidelity, ProofSheet, Subject

_MOST = 100_000  # tests that one test multiplies into
_ROUNDS = 5
_INNER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_MEDIA = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".wav", ".mp3")
_LONGEST = 4_000_000  # characters of a variable with others inside


class Variables:
    """Writes out the variables of tests."""

    def __init__(self, files: SourceFiles, sheet: ProofSheet) -> None:
        self._files, self._sheet = files, sheet
        self.media: dict[str, bytes] = {}

    def combinations(
        self, values: Mapping[str, JsonValue], where: str, *, expand: bool
    ) -> Iterator[tuple[dict[str, JsonValue], dict[str, JsonValue]]]:
        """Yield each set of variables that a test stands for, and the same with their templates filled.

        Raises WorkspaceError for too many of them.
        """
        choices = {name: self._choices(name, value, where) if expand else [value] for name, value in values.items()}
        if prod(map(len, choices.values())) > _MOST:
            raise WorkspaceError(f"its lists multiply into more than {_MOST:,} tests", where=where)
        found: list[dict[str, JsonValue]] = [{}]
        for name, listed in choices.items():
            found = [{**one, name: value} for one in found for value in listed]
        for one in found:
            resolved = self._resolved({name: self._read(name, value, where) for name, value in one.items()}, where)
            yield resolved, {name: self._rendered(name, value, resolved, where) for name, value in resolved.items()}

    def _choices(self, name: str, value: JsonValue, where: str) -> list[JsonValue]:
        if isinstance(value, list):
            return list(value) if value and isinstance(value[0], str) else [value]
        if isinstance(value, str) and value.startswith("file://") and "*" in value:
            try:
                return [f"file://{path}" for path in self._files.expand(value, where)]
            except WorkspaceError as exc:
                self._lost(name, where, exc.what)
        return [value]

    def _read(self, name: str, value: JsonValue, where: str) -> JsonValue:
        """Return a variable, or the content of the file that it names."""
        if not isinstance(value, str) or not value.startswith("file://"):
            return value
        if is_code(value):
            return self._lost(name, where, "is computed by a program", "write the value out")
        try:
            path = self._files.place(value, where)
            return self._content(name, path, where)
        except WorkspaceError as exc:
            return self._lost(name, where, exc.what)

    def _content(self, name: str, path: Path, where: str) -> JsonValue:
        if path.suffix in (".yaml", ".yml"):
            return json.dumps(self._files.document(path, where).value, ensure_ascii=False, separators=(",", ":"))
        if path.suffix == ".pdf":
            return self._lost(name, where, "is a PDF whose text promptfoo extracts", "write its text into a file")
        if path.suffix.lower() in _MEDIA:
            kept = f"media/{path.name}"
            self.media[kept] = self._files.data(path, where)
            why = "an image or sound: a prompt shows it where it says {{media url=…}}"
            self._sheet.add(Fidelity.NEAR, where, f"variable {name}", why, subject=Subject.CASE)
            return kept
        return self._files.text(path, where).strip()

    def _lost(self, name: str, where: str, why: str, do: str | None = None) -> str:
        self._sheet.add(Fidelity.NOT, where, f"variable {name}", why, subject=Subject.CASE, do=do)
        return ""

    @staticmethod
    def _resolved(values: dict[str, JsonValue], where: str) -> dict[str, JsonValue]:
        """Put variables into variables, as often as promptfoo does."""
        for name, value in values.items():
            if isinstance(value, str):
                values[name] = value.removesuffix("\n")
        for _ in range(_ROUNDS):
            changed = False
            for name, value in values.items():
                found = _INNER.search(value) if isinstance(value, str) else None
                if found is None or values.get(found[1]) is None:
                    continue
                values[name] = value[: found.start()] + js_text(values[found[1]]) + value[found.end() :]
                changed = True
                if len(values[name]) > _LONGEST:
                    raise WorkspaceError(f"the variable {name} grows without end", where=where)
            if not changed:
                break
        return values

    def _rendered(self, name: str, value: JsonValue, values: Mapping[str, JsonValue], where: str) -> JsonValue:
        """Fill the template that a variable still is; one that uses what no variable is stays as it is."""
        if not isinstance(value, str) or not ("{{" in value or "{%" in value) or is_left_alone(value):
            return value
        try:
            if any(values.get(used) is None for used in translated(value).used):
                return value
            return render(value, values)
        except NotRenderedError as exc:
            why = f"holds template code that promptfoo runs, and stays text here: {exc}"
            self._sheet.add(Fidelity.NEAR, where, f"variable {name}", why, subject=Subject.CASE)
            return value
