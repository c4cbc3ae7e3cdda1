"""Functions that are steps: their digests, and the prompts that they ask, read without running any code.

A function's digest covers its file and the workspace's files that it imports, as far as an import says their names.
"""

import ast
import warnings
from collections.abc import Iterator
from hashlib import sha256

from msgspec import Struct, field

from evalh.core.digest import digest
from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.ports import Tree
from evalh.core.values import Value
from evalh.workspace.files import label, parts_of

_MOST_FILES = 200
_MOST_BYTES = 4_000_000
_CONTEXT, _ASK = "ctx", "ask"


class Signature(Value):
    """A function's parameters, as its definition states them; `where` is its line."""

    names: tuple[str, ...]
    required: frozenset[str]
    takes_any: bool
    where: str


class FunctionFiles(Struct):
    """A function's files, and the prompts that they ask by name, each with its first line."""

    digests: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)
    parameters: Signature | None = None  # None: only calling it tells

    @property
    def digest(self) -> str:
        """The digest of all files."""
        return digest(self.digests)


def read_function(tree: Tree, path: str, where: str) -> FunctionFiles:
    """Read the files of `steps/orders.py:find`, named at `where`. Raises WorkspaceError."""
    file, colon, name = path.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier():
        raise WorkspaceError(f"{path!r} does not name a function", where=where, hint="python: steps/orders.py:find")
    try:
        file = "/".join(parts_of(file))
    except WorkspaceError as exc:
        raise WorkspaceError(exc.what, where=where, hint=exc.hint) from None
    if not tree.exists(file):
        folder = file.rpartition("/")[0]
        near = [f"{folder}/{one}".lstrip("/") for one in tree.names(folder) if one.endswith(".py")]
        raise WorkspaceError(f"there is no file {file}", where=where, hint=did_you_mean(file, near))
    found = FunctionFiles()
    waiting = [file]
    while waiting:
        one = waiting.pop()
        if one in found.digests:
            continue
        if len(found.digests) == _MOST_FILES:
            what = f"{file} imports more than {_MOST_FILES} files of the workspace"
            raise WorkspaceError(what, where=where, hint="move them to an installed package")
        content = tree.read(one)
        module = _parsed(content, label(tree, one))
        if one == file:
            _refuse_missing(module, name, path, where)
            found.parameters = _parameters(module, name, label(tree, one))
        found.digests[one] = sha256(content).hexdigest()
        for prompt, line in _asked(module):
            found.asks.setdefault(prompt, f"{label(tree, one)}:{line}")
        waiting += _imported(tree, one, module)
    return found


def _parsed(content: bytes, file: str) -> ast.Module:
    if len(content) > _MOST_BYTES:
        raise WorkspaceError(f"is longer than {_MOST_BYTES:,} bytes", where=file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as "\d" in a text: up to the author
            return ast.parse(content)
    except SyntaxError as exc:
        raise WorkspaceError(f"is not Python: {exc.msg}", where=f"{file}:{exc.lineno or 1}") from None
    except (ValueError, RecursionError, MemoryError):
        raise WorkspaceError("cannot be read as Python", where=file) from None


def _refuse_missing(module: ast.Module, name: str, path: str, where: str) -> None:
    names: set[str] = set()
    for node in module.body:
        for one in ast.walk(node) if isinstance(node, ast.If | ast.Try) else (node,):
            names |= set(_names(one))
    if name not in names and "*" not in names:
        file = path.rpartition(":")[0]
        raise WorkspaceError(f"{file} has no function {name!r}", where=where, hint=did_you_mean(name, names))


def _names(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement of a module defines."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Assign():
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        case ast.Import() | ast.ImportFrom():
            yield from (alias.asname or alias.name for alias in node.names)


def _parameters(module: ast.Module, name: str, file: str) -> Signature | None:
    """Return a function's parameters; None if it is imported, decorated, or defined more than once."""
    found = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    ]
    if len(found) != 1 or found[0] not in module.body or found[0].decorator_list or found[0].args.posonlyargs:
        return None
    stated = found[0].args
    named = [*stated.args, *stated.kwonlyargs]
    optional = {one.arg for one in stated.args[len(stated.args) - len(stated.defaults) :]} if stated.defaults else set()
    optional |= {
        one.arg for one, default in zip(stated.kwonlyargs, stated.kw_defaults, strict=True) if default is not None
    }
    names = tuple(one.arg for one in named if one.arg != _CONTEXT)
    required = frozenset(names) - optional
    return Signature(names, required, stated.kwarg is not None, f"{file}:{found[0].lineno}")


def _asked(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the prompts that `ctx.ask("name", …)` names."""
    for node in ast.walk(module):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == _ASK):
            continue
        asker = node.func.value
        named = node.args[0] if node.args else next((one.value for one in node.keywords if one.arg == "prompt"), None)
        is_context = isinstance(asker, ast.Name) and asker.id == _CONTEXT
        if is_context and isinstance(named, ast.Constant) and isinstance(named.value, str):
            yield named.value, node.lineno


def _imported(tree: Tree, file: str, module: ast.Module) -> Iterator[str]:
    """Yield the workspace's files that a module imports: from the root on, or next to it."""
    folder = file.split("/")[:-1]
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(tree, [], alias.name.split("."))
                yield from _files(tree, folder, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            stated = node.module.split(".") if node.module else []
            up = folder[: len(folder) - node.level + 1] if node.level else folder
            for start in [up] if node.level else [[], folder]:
                for alias in node.names:
                    yield from _files(tree, start, [*stated, alias.name])


def _files(tree: Tree, start: list[str], names: list[str]) -> Iterator[str]:
    """Yield the files of a dotted name and of the packages that it lies in."""
    place = start
    for name in names:
        place = [*place, name]
        for path in ("/".join(place) + ".py", "/".join([*place, "__init__.py"])):
            if tree.exists(path):
                yield path
