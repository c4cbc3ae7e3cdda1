"""Programs of the source that stay programs: named in place where they lie in the workspace, else copied into it."""

import hashlib
import textwrap
from pathlib import Path

from evalh.core.errors import WorkspaceError
from evalh.graders.javascript.sources import gathered
from evalh.interop.foreign.promptfoo.entries import NoEntryError
from evalh.interop.foreign.promptfoo.nodes import Node
from evalh.interop.foreign.promptfoo.sources import SourceFiles

_FOLDER = "evals/imported"
_WRAPPER = f"{_FOLDER}/promptfoo_assert.py"
_WRAPPER_TEXT = '''"""Calls assertions that were written for promptfoo: get_assert(output, context)."""

import importlib.util
from pathlib import Path

from evalh import GradeContext, Outcome, Verdict

ROOT = Path(__file__).parents[2]


def judge(
    ctx: GradeContext,
    *,
    file: str,
    function: str = "get_assert",
    config: dict | None = None,
    threshold: float | None = None,
) -> Verdict:
    """Return what a function of the file says: true, false, a score, or {pass, score, reason}."""
    context = {"vars": dict(ctx.inputs), "config": config or {}, "prompt": _prompt(ctx)}
    said = getattr(_module(ROOT / file), function)(ctx.text, context)
    if isinstance(said, bool):
        return Verdict.check(said, f"returned {said}")
    if isinstance(said, int | float):
        passed = said > 0 if threshold is None else said >= threshold
        return Verdict(Outcome.PASS if passed else Outcome.FAIL, min(max(float(said), 0.0), 1.0), f"returned {said}")
    passed = bool(said.get("pass", said.get("pass_"))) and (threshold is None or said.get("score", 0) >= threshold)
    score = min(max(float(said.get("score", passed)), 0.0), 1.0)
    return Verdict(Outcome.PASS if passed else Outcome.FAIL, score, str(said.get("reason", "")))


def _prompt(ctx: GradeContext) -> str:
    return ctx.request.messages[-1].text if ctx.request is not None else ""


def _module(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
'''


class KeptCode:
    """Collects the programs that are kept, and the files that are written for them."""

    def __init__(self, files: SourceFiles, into: Path, *, allowed: bool) -> None:
        self._files = files
        self._into = into.resolve()
        self._allowed = allowed
        self.written: dict[str, bytes] = {}

    def source(self, name: str, node: Node) -> str:
        """Return the text of a file that a value names. Raises NoEntryError."""
        path = name.removeprefix("file://").partition(":")[0]
        try:
            return self._files.text(self._files.place(path, node.where), node.where)
        except WorkspaceError as exc:
            raise NoEntryError(exc.what) from None

    def keep(self, name: str, node: Node) -> str:
        """Return the path in the workspace of a file of code, copied if it lies elsewhere. Raises NoEntryError."""
        text = self.source(name, node)
        path = self._files.place(name.removeprefix("file://"), node.where)
        if path.is_relative_to(self._into):
            return path.relative_to(self._into).as_posix()
        kept = f"{_FOLDER}/{self._files.from_root(path)}"
        self.written[kept] = text.encode()
        return kept

    def keep_script(self, name: str, node: Node) -> str:
        """Return the path in the workspace of JavaScript; it and what it requires are copied if they lie elsewhere.

        Raises NoEntryError.
        """
        path = self._files.place(name.removeprefix("file://"), node.where)
        kept = self._files.from_root(path)
        try:
            found = gathered(kept, self._script, node.where)
        except WorkspaceError as exc:
            raise NoEntryError(exc.what, exc.hint) from None
        if path.is_relative_to(self._into):
            return path.relative_to(self._into).as_posix()
        for one in found:
            self.written[f"{_FOLDER}/{one}"] = (self._script(one, node.where) or "").encode()
        return f"{_FOLDER}/{kept}"

    def _script(self, name: str, where: str) -> str | None:
        path = self._files.at_root(name)
        return self._files.text(path, where) if path.is_file() else None

    def keep_inline(self, code: str) -> str:
        """Return the path of a file that holds Python code of the config, as the body of `get_assert`."""
        code = code.rstrip()
        body = code if "\n" in code else f"return {code}"
        text = f"import json\n\n\ndef get_assert(output, context):\n{textwrap.indent(body, '    ')}\n"
        name = f"{_FOLDER}/assert_{hashlib.sha256(text.encode()).hexdigest()[:8]}.py"
        self.written[name] = text.encode()
        return name

    def wrapper(self) -> str:
        """Return the path of the file that calls Python assertions."""
        self.written[_WRAPPER] = _WRAPPER_TEXT.encode()
        return _WRAPPER

    def write(self, name: str, text: str) -> str:
        """Write a file of ours below the folder of imported code; return its path."""
        path = f"{_FOLDER}/{name}"
        self.written[path] = text.encode()
        return path

    def refuse_unless_allowed(self, what: str) -> None:
        """Raise NoEntryError unless the user allowed programs of the source to be kept."""
        if not self._allowed:
            raise NoEntryError(what, "import again with --allow-code, after reading it")
