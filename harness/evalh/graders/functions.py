"""A user's function as a grader: its declared parameters, and its answer within a deadline."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import PurePath
from traceback import walk_tb
from typing import Any, get_type_hints

import msgspec
from msgspec.structs import replace

from evalh.core.errors import WorkspaceError
from evalh.core.verdict import GradeContext, Outcome, Verdict
from evalh.graders.deadline import Deadline, NoAnswerError
from evalh.graders.kinds import Judge
from evalh.graders.quoting import one_line

_KINDS_ALLOWED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_LONGEST_REASON = 1000  # characters


class _Annotated:
    """What `get_type_hints` reads one parameter's annotation from."""

    def __init__(self, name: str, annotation: object) -> None:
        self.__annotations__ = {name: annotation}


def where_defined(function: Callable[..., Any]) -> str:
    """Return `file:line` of a function's source."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def declared_parameters(function: Callable[..., Any], name: str) -> type[msgspec.Struct]:
    """Read the keyword-only parameters of `def f(ctx, *, limit: int = 50)`. Raises WorkspaceError at its line."""
    where = where_defined(function)
    first, *others = inspect.signature(function).parameters.values() or (None,)
    if first is None or first.kind not in _KINDS_ALLOWED:
        raise WorkspaceError(f"grader {name!r} takes no context", where=where, hint="def f(ctx, *, limit: int = 50)")
    fields: list[tuple[str, Any, Any]] = []
    for parameter in others:
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            raise WorkspaceError(
                f"grader {name!r}: parameter {parameter.name!r} must be keyword-only",
                where=where,
                hint="put a bare * after ctx: def f(ctx, *, limit: int = 50)",
            )
        fields.append((parameter.name, _type_of(function, parameter, name), _default_of(parameter)))
    try:
        return msgspec.defstruct(name, fields, frozen=True, kw_only=True)
    except TypeError as exc:
        raise WorkspaceError(f"grader {name!r}: {exc}", where=where) from None


def _type_of(function: Callable[..., Any], parameter: inspect.Parameter, name: str) -> Any:
    if parameter.annotation is inspect.Parameter.empty:
        return Any
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        # One at a time: that of `ctx` may name what is imported for the type checker only.
        hints = get_type_hints(_Annotated(parameter.name, parameter.annotation), globalns=scope, include_extras=True)
    except (NameError, TypeError, SyntaxError) as exc:
        raise WorkspaceError(
            f"grader {name!r}: the type of parameter {parameter.name!r} cannot be read: {exc}",
            where=where_defined(function),
        ) from None
    return hints[parameter.name]


def _default_of(parameter: inspect.Parameter) -> Any:
    if parameter.default is inspect.Parameter.empty:
        return msgspec.NODEFAULT
    if isinstance(parameter.default, list | dict | set):
        return msgspec.field(default_factory=partial(type(parameter.default), parameter.default))
    return parameter.default


def judging(
    function: Callable[..., Any], arguments: Mapping[str, Any], deadline_s: float, *, may_say_bool: bool = False
) -> Judge:
    """Return the judge that calls `function(ctx, **arguments)`; sync functions run on a thread.

    Everything but a verdict (or, with `may_say_bool`, a bool) is an `error` verdict: an exception, another type, no
    answer in time.
    """
    deadline = Deadline(deadline_s)
    is_async = inspect.iscoroutinefunction(inspect.unwrap(function))

    async def judge(ctx: GradeContext) -> Verdict:
        work = partial(function, ctx, **arguments)
        try:
            answer = await (deadline.wait(work()) if is_async else deadline.call(work))
        except NoAnswerError as exc:
            return Verdict.error(str(exc))
        except Exception as exc:  # noqa: BLE001 (a grader that breaks says nothing about the output)
            return Verdict.error(one_line(f"{type(exc).__name__}: {exc}{_line_of(exc)}"))
        return _verdict(answer, may_say_bool=may_say_bool)

    return judge


def _verdict(answer: Any, *, may_say_bool: bool) -> Verdict:
    if isinstance(answer, Verdict):
        return _checked(answer)
    if may_say_bool and isinstance(answer, bool):
        return Verdict.check(answer, f"said {answer}")
    if inspect.iscoroutine(answer):
        answer.close()
        return Verdict.error("returned a coroutine: declare the function with async def")
    wanted = "a Verdict or a bool" if may_say_bool else "a Verdict"
    return Verdict.error(f"returned {one_line(type(answer).__name__)}, not {wanted}")


def _checked(verdict: Verdict) -> Verdict:
    """Let no verdict through that would break a sum or a screen: it may have been built without its constructors."""
    score = verdict.score
    score_fits = score is None or (isinstance(score, int | float) and 0.0 <= score <= 1.0)
    if not (isinstance(verdict.outcome, Outcome) and score_fits and isinstance(verdict.reason, str)):
        return Verdict.error(one_line(f"returned a verdict that cannot be: {verdict!r}"))
    reason = one_line(verdict.reason, _LONGEST_REASON)  # it may quote the output
    return verdict if reason == verdict.reason else replace(verdict, reason=reason)


def _line_of(exc: Exception) -> str:
    """Say in which file and line the user's code raised."""
    frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(exc.__traceback__)]
    outside = [place for place in frames if PurePath(place[0]).parent != PurePath(__file__).parent]
    return f" ({PurePath(outside[-1][0]).name}:{outside[-1][1]})" if outside else ""
