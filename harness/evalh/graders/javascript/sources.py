"""The code of a grader before it runs: which part of one line is its value, what a file requires, what it exports.

Files may be CommonJS or ES modules. The engine is not asked for modules, since it would load them by itself: an ES
module is written as a function's body, whose imports are calls of `require`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath

from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

LONGEST = 200_000  # characters of one file
_MOST_FILES = 50
_ENDINGS = ("", ".js", ".cjs", ".mjs", ".json", "/index.js")
_SCRIPTS = (".js", ".cjs", ".mjs")
_NODE_HINT = "code here has no modules of node; a python grader can start node"

ReadScript = Callable[[str, str], str | None]
"""Reads a file of the workspace by its path, for an entry at `where`; None if there is none. Raises WorkspaceError."""

_TOKEN = re.compile(
    r"(?P<skip>//[^\n]*|/\*.*?(?:\*/|\Z))"
    r"|(?P<text>'(?:\\.|[^'\\\n])*'?|\"(?:\\.|[^\"\\\n])*\"?|`(?:\\.|[^`\\])*`?)"
    r"|(?P<word>[\w$]+)"
    r"|(?P<slash>/)"
    r"|(?P<other>[^\s])",
    re.DOTALL,
)
_PATTERN = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\\n]){0,500}+\]|[^/\\\n\[]){1,2000}+/[a-z]*")
_BEFORE_PATTERN = {"return", "typeof", "case", "in", "of", "void", "throw", "new", "else", "do", "await", "yield"}
_DECLARED = re.compile(r"(?:const|let|var)\s")
_REQUIRED = re.compile(r"(?<![\w$.])(?:require\s*\(\s*(?P<call>[\"'])|(?:from|import)\s*(?P<from>[\"']))")
_IMPORT = re.compile(r"(?m)^[ \t]*import\b(?P<what>[^'\"();]{0,400}?)(?:\bfrom\b)?\s*(?P<at>['\"])")
_EXPORT = re.compile(
    r"(?m)^(?P<head>[ \t]*export[ \t]+)"
    r"(?:(?P<default>default\b)[ \t]*(?P<named>(?:async[ \t]+)?(?:function\b[ \t]*\*?|class\b)[ \t]*(?P<its>[\w$]+))?"
    r"|(?P<one>(?:async[ \t]+)?(?:function\b[ \t]*\*?|class\b|const\b|let\b|var\b)[ \t]*(?P<name>[\w$]+))"
    r"|\{(?P<list>[^}]{0,2000})\}[ \t]*(?P<from>from\b)?;?|(?P<other>.))"
)
_NAMES = re.compile(r"\{([^}]*)\}")
_AS = re.compile(r"\s+as\s+")


class Script(Value):
    """A file of code: its text as a function's body, and which file each name stands for that it requires."""

    text: str
    needs: Mapping[str, str]

    def document(self) -> dict[str, JsonValue]:
        """Return what the engine is handed."""
        return {"text": self.text, "needs": dict(self.needs)}


def masked(code: str) -> str:
    """Return code of the same length, in which comments and the insides of texts and patterns are blank."""
    parts: list[str] = []
    end, before = 0, ""
    while (found := _TOKEN.search(code, end)) is not None:
        parts.append(code[end : found.start()])
        end = found.end()
        token = found[0]
        pattern = _PATTERN.match(code, found.start()) if found["slash"] and _may_begin_pattern(before) else None
        if pattern is not None:
            token, end = pattern[0], pattern.end()
        if found["skip"]:
            parts.append(_blank(token))
            continue
        quoted = (found["text"] or pattern is not None) and len(token) > 1
        parts.append(f"{token[0]}{_blank(token[1:-1])}{token[-1]}" if quoted else token)
        before = token
    parts.append(code[end:])
    return "".join(parts)


def _blank(text: str) -> str:
    return "".join("\n" if one == "\n" else " " for one in text)


def _may_begin_pattern(before: str) -> bool:
    """Whether a slash behind this token begins a pattern; otherwise it divides."""
    return not before or before in _BEFORE_PATTERN or not (before[-1] in ")]}'\"`$_" or before[-1].isalnum())


def body_of(code: str) -> str:
    """Return a function's body for the code of an assertion, as promptfoo takes it.

    Several lines are the body. One line is its value, or ends with it where it begins with a declaration.
    """
    code = code.rstrip()
    if "\n" in code:
        return code
    line = code.strip().rstrip("; \t")
    if not _DECLARED.match(line):
        return f"return {line}"
    at = _last_semicolon(masked(line))
    if at is None or not line[at + 1 :].strip():
        return line
    return f"{line[: at + 1]} return {line[at + 1 :].strip()}"


def _last_semicolon(code: str) -> int | None:
    """Find the last semicolon between statements: outside of brackets."""
    depth, last = 0, None
    for at, character in enumerate(code):
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == ";" and not depth:
            last = at
    return last


def gathered(path: str, read: ReadScript, where: str) -> dict[str, Script]:
    """Read a file of code and every file that it requires. Raises WorkspaceError."""
    scripts: dict[str, Script] = {}
    waiting = [(path, where)]
    while waiting:
        path, place = waiting.pop()
        if path in scripts:
            continue
        if len(scripts) == _MOST_FILES:
            raise WorkspaceError(f"the code requires more than {_MOST_FILES} files", where=place)
        text = read(path, place)
        if text is None:
            raise WorkspaceError(f"no file {path!r}", where=place, hint="write its path from the workspace's root")
        if len(text) > LONGEST:
            raise WorkspaceError(f"the file has {len(text):,} characters; at most {LONGEST:,} are read", where=path)
        if path.endswith(".json"):
            scripts[path] = Script(text, {})
            continue
        if not path.endswith(_SCRIPTS):
            raise WorkspaceError(
                f"{path!r} is not JavaScript", where=place, hint="name a file that ends in .js, .cjs or .mjs"
            )
        shown = masked(text)
        needs = {name: _resolved(path, name, at, read) for name, at in _required(text, shown, path)}
        scripts[path] = Script(_as_body(text, shown, path), needs)
        waiting += [(needed, path) for needed in needs.values()]
    return scripts


def _required(text: str, shown: str, path: str) -> Iterator[tuple[str, str]]:
    """Yield what code requires by a name that stands in it, with its file and line."""
    for found in _REQUIRED.finditer(shown):
        begun = found.end()
        closed = shown.find(found["call"] or found["from"], begun)
        if closed >= 0:
            yield text[begun:closed], f"{path}:{text.count(chr(10), 0, begun) + 1}"


def _resolved(path: str, name: str, where: str, read: ReadScript) -> str:
    if not name.startswith(("./", "../", ".")):
        raise WorkspaceError(f"the code needs node: {name}", where=where, hint=_NODE_HINT)
    folder = list(PurePosixPath(path).parent.parts)
    for part in name.split("/"):
        if part == ".." and not folder:
            raise WorkspaceError(f"{name!r} leads out of the workspace", where=where)
        if part == "..":
            folder.pop()
        elif part not in (".", ""):
            folder.append(part)
    plain = "/".join(folder)
    for ending in _ENDINGS:
        if plain.endswith((*_SCRIPTS, ".json")) == (not ending) and read(plain + ending, where) is not None:
            return plain + ending
    raise WorkspaceError(f"no file {name!r} beside {path}", where=where)


def _as_body(text: str, shown: str, path: str) -> str:
    """Return a file's code as the body of `(module, exports, require, process)`, line for line the same."""
    imports, exports = list(_IMPORT.finditer(shown)), list(_EXPORT.finditer(shown))
    if not imports and not exports:
        return text
    after = ["exports.__esModule = true;"]
    edits = [_as_assignment(found, after, path) for found in exports]
    for found in imports:
        closed = shown.find(found["at"], found.end("at")) + 1 or len(text)
        edits.append((found.start(), closed, _as_require(found["what"], text[found.start("at") : closed])))
    parts, end = ["'use strict'; "], 0
    for begun, closed, instead in sorted(edits):
        parts += [text[end:begun], instead, "\n" * text.count("\n", begun, closed)]
        end = closed
    return "".join([*parts, text[end:], "\n", " ".join(after)])


def _as_require(what: str, name: str) -> str:
    """Write an import as calls of `require`."""
    required = f"require({name})"
    lines = []
    named = _NAMES.search(what)
    if named is not None:
        lines.append(f"const {{{' '.join(_AS.sub(': ', named[1]).split())}}} = {required};")
        what = what.replace(named[0], "")
    for part in filter(None, (one.strip() for one in what.split(","))):
        if part.startswith("*"):
            lines.append(f"const {part.split()[-1]} = {required};")
        else:
            lines.append(f"const {part} = ((m) => (m?.__esModule ? m.default : m))({required});")
    return " ".join(lines) or f"{required};"


def _as_assignment(found: re.Match[str], after: list[str], path: str) -> tuple[int, int, str]:
    """Return what stands for an export, and note what is assigned at the end."""
    if found["default"] and found["named"]:
        after.append(f"exports.default = {found['its']};")
        return found.start(), found.start("named"), ""
    if found["default"]:
        return found.start(), found.end("default"), "exports.default ="
    if found["one"]:
        after.append(f"exports.{found['name']} = {found['name']};")
        return found.start(), found.end("head"), ""
    if found["list"] is not None and not found["from"]:
        names = [part.split() for part in found["list"].split(",") if part.strip()]
        after.extend(f"exports.{name[-1]} = {name[0]};" for name in names)
        return found.start(), found.end(), ""
    where = f"{path}:{found.string.count(chr(10), 0, found.start()) + 1}"
    raise WorkspaceError("cannot read this export", where=where, hint="export function f(…), or module.exports = f")
