"""The files of a promptfoo config: found as promptfoo finds them, read with bounds, never outside of the repository.

A config may be a stranger's. It cannot make us read a hidden file, a file outside of its repository, or without end.
Keys that stand in it are removed while it is read, so that nothing later can copy one.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from evalh.core.errors import UsageError, WorkspaceError
from evalh.core.located import Located
from evalh.core.located import Path as Place
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.interop.foreign.transfer import Fidelity, ProofSheet
from evalh.workspace.credentials import keys_in
from evalh.workspace.dataset.jsonl_rows import refuse_unholdable
from evalh.workspace.files import decode, refuse_other_encodings, refuse_pointer
from evalh.workspace.yaml import parse_yaml

REMOVED = "REMOVED-KEY"
_NAMES = tuple(f"promptfooconfig.{ending}" for ending in ("yaml", "yml", "json"))
_LARGEST = 64 * 2**20
_MOST_BYTES = 512 * 2**20
_MOST_FILES = 20_000
_GLOB = re.compile(r"[*?\[\]{}]|[!@+]\(")
_WHOLE = 2**53
_SHORTEST_KEY = 8
_SHOWN = 80
_PROGRAM = (
    "a config that is a program is not run: write it as YAML (`promptfoo export eval latest` shows it, under config)"
)
_KEY_ENDS = ("apikey", "token", "secret", "password", "authorization", "accesskey", "privatekey", "cookie", "auth")
_NO_SETTINGS = frozenset({"vars", "metadata", "value", "rubricPrompt", "prompts"})  # what tests and prompts are made of
_ELSEWHERE = re.compile(r"\$.*|.*\{\{.*|file://.*", re.DOTALL)
_IN_ADDRESS = re.compile(
    r"://[^/\s:@'\"]{1,200}:(?P<password>[^/\s@'\"]{4,200})@"
    r"|[?&](?i:api[_-]?key|key|token|access_token|sig|code)=(?P<query>[^&\s'\"{}]{8,})"
)


def config_file(source: Path) -> Path:
    """Return the config that a user named: a file, or a folder that holds one. Raises UsageError."""
    if source.is_dir():
        found = next((source / name for name in _NAMES if (source / name).is_file()), None)
        if found is None:
            hint = f"evalh import promptfoo FILE; {_PROGRAM}"
            raise UsageError("holds no promptfooconfig.yaml", where=str(source), hint=hint)
        return found
    if not source.is_file():
        raise UsageError("no such file", where=str(source), hint="evalh import promptfoo promptfooconfig.yaml")
    if source.suffix not in (".yaml", ".yml", ".json"):
        raise UsageError("is not YAML or JSON", where=str(source), hint=_PROGRAM)
    return source


class SourceFiles:
    """Reads the files that a config names."""

    def __init__(self, config: Path, sheet: ProofSheet) -> None:
        self.base = config.resolve().parent
        self._sheet = sheet
        self._root = next((one for one in (self.base, *self.base.parents) if (one / ".git").exists()), self.base)
        self._bytes = 0
        self._texts: dict[Path, str] = {}
        self._documents: dict[Path, Located] = {}
        self._keys: set[str] = set()
        self._told: set[str] = set()  # places of keys

    def label(self, path: Path) -> str:
        """Return how messages name a file: relative to the config, if it lies below."""
        try:
            return path.relative_to(self.base).as_posix()
        except ValueError:
            return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else path.name

    def from_root(self, path: Path) -> str:
        """Return a file's path from the repository's root."""
        return path.relative_to(self._root).as_posix()

    def at_root(self, name: str) -> Path:
        """Return the file of a path from the repository's root. Raises WorkspaceError."""
        return self.place(name, name, self._root)

    def place(self, name: str, where: str, base: Path | None = None) -> Path:
        """Return the file that a `file://` reference or a path means. Raises WorkspaceError."""
        name = name.removeprefix("file://")
        try:
            path = ((base or self.base) / name).resolve()
            path.exists()
        except (OSError, ValueError) as exc:  # too long, a null in it, half a surrogate pair
            why = exc.strerror if isinstance(exc, OSError) else exc
            raise WorkspaceError(f"{name[:_SHOWN]!r} cannot be a file: {why}", where=where) from None
        if not path.is_relative_to(self._root):
            raise WorkspaceError(f"{name!r} is outside of the repository", where=where, hint="copy the file in")
        if any(part.startswith(".") for part in path.relative_to(self._root).parts):
            raise WorkspaceError(f"{name!r} is hidden, and is not read", where=where)
        return path

    def expand(self, name: str, where: str, base: Path | None = None) -> list[Path]:
        """Return the files that a name or a glob means, sorted. Raises WorkspaceError if there are none."""
        name = name.removeprefix("file://")
        if not _GLOB.search(name):
            path = self.place(name, where, base)
            if path.is_dir():
                return sorted(one for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
            if not path.is_file():
                raise WorkspaceError(f"there is no file {name!r}", where=where)
            return [path]
        folder, _, pattern = name.rpartition("/") if not _GLOB.search(name.rpartition("/")[0]) else ("", "", name)
        start = self.place(folder or ".", where, base)
        try:
            found = sorted(self.place(str(path), where) for path in start.glob(pattern) if path.is_file())
        except (ValueError, NotImplementedError) as exc:
            raise WorkspaceError(f"{name!r} is not a pattern that is read here: {exc}", where=where) from None
        if not found:
            raise WorkspaceError(f"no file fits {name!r}", where=where)
        return found

    def text(self, path: Path, where: str) -> str:
        """Return a file's text, without the keys in it. Raises WorkspaceError."""
        if path not in self._texts:
            self._texts[path] = self._without_keys(self._read(path, where), path)
        return self._texts[path]

    def data(self, path: Path, where: str) -> bytes:
        """Return a file's bytes as they are. Raises WorkspaceError."""
        try:
            size = path.stat().st_size
            self._bytes += size
            if size > _LARGEST or self._bytes > _MOST_BYTES or len(self._texts) > _MOST_FILES:
                raise WorkspaceError(f"{self.label(path)} is too large, or there are too many files", where=where)
            return path.read_bytes()
        except OSError as exc:
            raise WorkspaceError(f"{self.label(path)}: {exc.strerror or exc}", where=where) from None

    def document(self, path: Path, where: str | None = None) -> Located:
        """Return what a YAML or JSON file holds, with JavaScript's numbers. Raises WorkspaceError."""
        if path not in self._documents:
            located = self._parsed(path, where)
            refuse_unholdable(located.value, self.label(path))
            located.value = plain_numbers(located.value)
            self._documents[path] = located
        return self._documents[path]

    def forget(self, document: Located) -> None:
        """Remove the keys that a document's settings hold, by their names, from all that is read from now on."""
        for place, value in _settings(document.value, ()):
            if _names_key(str(place[-1])) and len(value) >= _SHORTEST_KEY and not _ELSEWHERE.fullmatch(value):
                self._keys.add(value.split()[-1] if value.lower().startswith(("bearer ", "basic ")) else value)
                self.tell_key(document.where(*place))
        if self._keys:
            self._texts.clear()
            self._documents.clear()

    def _parsed(self, path: Path, where: str | None) -> Located:
        name = self.label(path)
        text = self.text(path, where or name)
        if path.suffix != ".json":
            return parse_yaml(text, name, foreign=True)
        try:
            value = parse(text)
        except NotStrictJson as exc:
            raise WorkspaceError(f"is not JSON: {exc}", where=name) from None
        try:  # JSON is YAML, which knows the lines; a pair of surrogates is read differently there
            located = parse_yaml(text.replace("\t", " "), name, foreign=True)
        except WorkspaceError:
            return Located(value, name, {})
        return located if located.value == value else Located(value, name, {})

    def _read(self, path: Path, where: str) -> str:
        data = self.data(path, where)
        refuse_pointer(data[:200], self.label(path))
        refuse_other_encodings(data[:4], self.label(path))
        return decode(data, self.label(path)).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")

    def _without_keys(self, text: str, path: Path) -> str:
        found = [
            *keys_in(text),
            *((one.start(), one["password"] or one["query"]) for one in _IN_ADDRESS.finditer(text)),
        ]
        for start, key in found:
            if key != REMOVED:
                self.tell_key(f"{self.label(path)}:{text.count(chr(10), 0, start) + 1}")
        for key in sorted({*self._keys, *(key for _, key in found)}, key=len, reverse=True):
            text = text.replace(key, REMOVED)
        return text

    def tell_key(self, where: str) -> None:
        """Say that the source holds a key."""
        if where in self._told:
            return
        self._told.add(where)
        why = "the source holds what looks like a key; it was not copied"
        do = "revoke it: everyone who can read the source has it. Put the new one into an environment variable"
        self._sheet.add(Fidelity.NOTE, where, "a literal key", why, do=do)


def _settings(value: JsonValue, place: Place) -> Iterator[tuple[Place, str]]:
    """Yield the texts of a config's settings, with their places; not those of tests and prompts."""
    match value:
        case Mapping():
            for key, item in value.items():
                if key not in _NO_SETTINGS:
                    yield from _settings(item, (*place, key))
        case list():
            for number, item in enumerate(value):
                yield from _settings(item, (*place, number))
        case str() if place:
            yield place, value
        case _:
            pass


def _names_key(name: str) -> bool:
    return re.sub(r"[^a-z0-9]", "", name.lower()).endswith(_KEY_ENDS)


def plain_numbers(value: JsonValue) -> JsonValue:
    """Return the value with JavaScript's numbers: 1.0 is 1. What needs no change stays the same object."""
    match value:
        case float() if value.is_integer() and abs(value) < _WHOLE:
            return int(value)
        case Mapping():
            changed = {key: plain_numbers(item) for key, item in value.items()}
            return changed if any(changed[key] is not item for key, item in value.items()) else value
        case list():
            listed = [plain_numbers(item) for item in value]
            return listed if any(new is not old for new, old in zip(listed, value, strict=True)) else value
        case _:
            return value
