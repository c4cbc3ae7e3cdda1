"""Users' code: workspace files by path, installed packages by entry point.

A plugin file is executed once per content, as a module with its own name. The graders that it registers belong to the
workspace that names the file, so two workspaces in one process do not share them. The workspace's root is the last
entry of `sys.path`: a file may import its neighbours (`from evals.shared import …`), and hides no other module.

Entry points are listed only if a name is not found otherwise, because listing them costs 10 to 50 ms.
"""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import TYPE_CHECKING, Any

from evalh.core.errors import EvalhError, WorkspaceError, did_you_mean
from evalh.core.values import Value
from evalh.graders.kinds import FunctionLoader, Kind
from evalh.graders.registry import collecting, registered

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint  # 50 ms, and only an installed plugin needs it

GRADERS_GROUP = "evalh.graders"
PROVIDERS_GROUP = "evalh.providers"


class _PluginFile(Value):
    module: ModuleType
    kinds: Mapping[str, Kind]


_files: dict[tuple[Path, bytes], _PluginFile] = {}
"""The executed files, by path and content: an edited file is executed again, an unchanged one is not."""


class WorkspaceKinds(Mapping[str, Kind]):
    """The kinds of grader that a workspace can use: those of its plugin files, then those of installed packages."""

    def __init__(self, own: Mapping[str, Kind]) -> None:
        self._own = own

    @property
    def own(self) -> Mapping[str, Kind]:
        """Only the kinds of the workspace's own files."""
        return self._own

    def __getitem__(self, name: str) -> Kind:
        """Return a kind. Raises KeyError, and WorkspaceError if a package's entry point is broken."""
        if name in self._own:
            return self._own[name]
        entry = self._entry_points[name]
        _load_entry_point(entry)
        kind = registered.get(name)
        if kind is None:
            raise WorkspaceError(f"{_origin(entry)} registers no grader {name!r}", hint=f'@grader("{name}")')
        return kind

    def __iter__(self) -> Iterator[str]:
        return iter({**self._own, **self._entry_points})

    def __len__(self) -> int:
        return len({**self._own, **self._entry_points})

    @cached_property
    def _entry_points(self) -> "Mapping[str, EntryPoint]":
        return _entry_points(GRADERS_GROUP)


def load_plugins(root: Path, paths: Sequence[str], where: str = "evalh.toml") -> WorkspaceKinds:
    """Execute the workspace's plugin files and return the kinds of grader they register.

    Providers register themselves with `providers.registry`. Raises WorkspaceError: with the user's line for an error
    in a file, with `where` for a path that does not exist.
    """
    own: dict[str, Kind] = {}
    for path in paths:
        for name, kind in _executed(root, path, where).kinds.items():
            if name in own:
                earlier = _relative(root, own[name].where)
                raise WorkspaceError(f"grader {name!r} exists already, at {earlier}", where=_relative(root, kind.where))
            own[name] = kind
    return WorkspaceKinds(own)


def load_provider(name: str) -> bool:
    """Load the installed package that offers provider `name`; False if none does. Raises WorkspaceError."""
    entry = _entry_points(PROVIDERS_GROUP).get(name)
    if entry is None:
        return False
    _load_entry_point(entry)
    return True


def function_loader(root: Path) -> FunctionLoader:
    """Return a function that finds `evals/x.py:name` under the root, and `pkg.mod:name` anywhere.

    It raises WorkspaceError. The error has a place only if something is wrong inside the user's code; otherwise the
    caller knows which line names the function.
    """

    def load(path: str) -> Callable[..., Any]:
        source, colon, name = path.rpartition(":")
        if not colon or not source or not name:
            raise WorkspaceError(
                f"{path!r} does not name a function", hint="evals/checks.py:name, or package.module:name"
            )
        if source.endswith(".py"):
            module = _executed(root, source, None).module
        else:
            _reach(root)
            with _users_code(root, None):
                module = importlib.import_module(source)
        found: Any = module
        for part in name.split("."):
            found = getattr(found, part, None)
        if not callable(found):
            names = [word for word, value in vars(module).items() if callable(value) and not word.startswith("_")]
            raise WorkspaceError(f"{source} has no function {name!r}", hint=did_you_mean(name, names))
        return found  # type: ignore[no-any-return]

    return load


def loaded_from(root: Path) -> set[str]:
    """Return the files under a folder whose code is loaded, relative to it; installed packages are left out."""
    root = root.resolve()
    modules = [
        module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] not in ("evalh", "__main__") and isinstance(getattr(module, "__file__", None), str)
    ]
    files = {Path(str(module.__file__)) for module in modules} | {file for file, _ in _files}
    inside = [file.relative_to(root) for file in files if file.is_relative_to(root)]
    return {
        file.as_posix()
        for file in inside
        if "site-packages" not in file.parts and not any(part.startswith(".") for part in file.parts)
    }


def _executed(root: Path, path: str, where: str | None) -> _PluginFile:
    """Return the module of a workspace file, executed if it was not yet; `where` names it. Raises WorkspaceError."""
    file = (root / path).resolve()
    if not file.is_relative_to(root.resolve()):
        hint = "copy the file in, or install it as a package"
        raise WorkspaceError(f"{path!r} leaves the workspace", where=where, hint=hint)
    if file.suffix != ".py":
        raise WorkspaceError(f"{path!r} is not a Python file", where=where, hint="plugins are files: evals/graders.py")
    try:
        source = file.read_bytes()
    except OSError as exc:
        near = [str(one.relative_to(root)) for one in file.parent.glob("*.py") if one.is_relative_to(root)]
        raise WorkspaceError(f"{path!r} cannot be read: {exc.strerror}", where=where, hint=_have(near)) from None
    key = (file, sha256(source).digest())
    if key not in _files:
        _files[key] = _execute(root, file, source)
    return _files[key]


def _have(files: Sequence[str]) -> str | None:
    return f"have: {', '.join(sorted(files))}" if files else None


def _execute(root: Path, file: Path, source: bytes) -> _PluginFile:
    _reach(root)
    name = f"evalh_plugin_{file.stem}_{sha256(str(file).encode()).hexdigest()[:12]}"
    module = ModuleType(name)
    module.__file__ = str(file)
    earlier = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses and type hints look their module up
    try:
        with _users_code(root, _relative(root, file)), collecting(str(file)) as kinds:
            exec(compile(source, str(file), "exec", dont_inherit=True), module.__dict__)  # noqa: S102 (a plugin is code)
    except EvalhError:
        if earlier is None:
            del sys.modules[name]
        else:
            sys.modules[name] = earlier
        raise
    return _PluginFile(module, kinds)


@contextmanager
def _users_code(root: Path, what: str | None) -> Iterator[None]:
    """Turn whatever the user's code raises while it is loaded into an error at the user's line, or else at `what`."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except EvalhError as exc:
        where = exc.where or what
        raise WorkspaceError(exc.what, where=where and _relative(root, where), hint=exc.hint) from None
    except BaseException as exc:
        said = exc.msg if isinstance(exc, SyntaxError) else str(exc)
        missing = exc.name if isinstance(exc, ModuleNotFoundError) else None
        raise WorkspaceError(
            f"{type(exc).__name__}: {said}".rstrip(": "),
            where=_users_line(root, exc) or what,
            hint=f"install what provides {missing!r}, or put it beside evalh.toml" if missing else None,
        ) from exc


def _users_line(root: Path, exc: BaseException) -> str | None:
    """Return `file:line` of the innermost line in the workspace, libraries inside it left out."""
    if isinstance(exc, SyntaxError) and exc.filename:
        return f"{_relative(root, exc.filename)}:{exc.lineno}"
    places = [(Path(frame.f_code.co_filename), line) for frame, line in walk_tb(exc.__traceback__)]
    own = [
        (file, line)
        for file, line in places
        if file.is_relative_to(root.resolve()) and "site-packages" not in file.parts
    ]
    return f"{_relative(root, own[-1][0])}:{own[-1][1]}" if own else None


def _relative(root: Path, file: Path | str) -> str:
    return str(file).removeprefix(f"{root.resolve()}/")


def _reach(root: Path) -> None:
    place = str(root.resolve())
    if place not in sys.path:
        sys.path.append(place)


def _entry_points(group: str) -> "Mapping[str, EntryPoint]":
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=group)}


def _load_entry_point(entry: "EntryPoint") -> None:
    try:
        entry.load()
    except EvalhError:
        raise
    except Exception as exc:
        raise WorkspaceError(f"{_origin(entry)} cannot be loaded: {type(exc).__name__}: {exc}") from exc


def _origin(entry: "EntryPoint") -> str:
    package = entry.dist.name if entry.dist else "an installed package"
    return f"entry point {entry.value!r} of {package}"
