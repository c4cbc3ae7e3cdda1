"""What is told of a log that another program changed: a column that is gone, a text where JSON was."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from evalh.core.errors import WorkspaceError

C = TypeVar("C", bound=type)

# What turning a row into a value raises where the row is not one of ours.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, msgspec.MsgspecError)


def tells_damage(reader: C) -> C:
    """Have every public method of a reader, which has its file's `_path`, raise WorkspaceError for a damaged log."""
    for name, method in list(vars(reader).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(reader, name, _telling(method))
    return reader


def _telling(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def called(self: Any, *arguments: Any, **named: Any) -> Any:
        with _told(self._path):
            answer = method(self, *arguments, **named)
        return _iterated(answer, self._path) if isinstance(answer, Iterator) else answer

    return called


def _iterated(rows: Iterator[Any], path: Path) -> Iterator[Any]:
    with _told(path):
        yield from rows


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as exc:
        what = f"the log is damaged, or another program changed it ({type(exc).__name__}: {exc})"
        hint = "move it away (evalh run makes a new one); `evalh sql` still reads what is in it"
        raise WorkspaceError(what, where=str(path), hint=hint) from exc
