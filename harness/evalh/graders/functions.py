"""A user's function as a grader: its declared parameters, and its answer within a deadline.

A thread cannot be stopped from outside. What can be done is to stop waiting: the verdict is then an error, the run
goes on, and the thread is left behind. Threads are daemons, so a hanging one does not keep the process alive, and
their number is bounded. Code in C that never releases the interpreter's lock still stops everything.
"""

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import partial
from pathlib import PurePath
from time import monotonic
from traceback import walk_tb
from types import UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from msgspec import Meta, Struct
from msgspec.structs import replace
from pydantic import ConfigDict, Field, Strict, create_model
from pydantic.fields import FieldInfo

from evalh.core.declared import FileModel, Words, read
from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import GradeContext, Outcome, Verdict
from evalh.graders.kinds import Compiled, Judge, Parameters, Scope, built_in
from evalh.graders.quoting import one_line

_THREADS = 8  # of one grader, hanging ones included; when all of them hang, it is not called again
_IDLE_S = 5.0  # after which a thread without work ends


class NoAnswerError(Exception):
    """The code did not come back in time, or has too often not come back."""


class _Job(Struct, eq=False):
    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    begun: float | None = None  # None: waiting for a thread
    ended: bool = False
    abandoned: bool = False


class Deadline:
    """Runs one grader's code. Each call has `seconds` from the moment it begins; waiting for a thread is free."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._threads = 0  # that still take work
        self._idle = 0
        self._hanging = 0

    async def call(self, work: Callable[[], Any]) -> Any:
        """Run `work` on a thread and return what it returns. Raises NoAnswerError, and what `work` raises."""
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        with self._changed:
            if self._hanging >= _THREADS:
                raise NoAnswerError(self._too_often())
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                self._changed.notify()
            elif self._threads + self._hanging < _THREADS:
                threading.Thread(target=self._take_jobs, name="evalh-grader", daemon=True).start()
                self._threads += 1
        alarm = loop.call_later(self.seconds, self._ring, job)
        try:
            return await job.answer
        except asyncio.CancelledError:
            self._abandon(job)
            raise
        finally:
            alarm.cancel()

    async def wait(self, awaitable: Awaitable[Any]) -> Any:
        """Await and return the result. Raises NoAnswerError, and what the awaitable raises.

        A coroutine that refuses to be cancelled is left behind too.
        """
        task = asyncio.ensure_future(_contained(awaitable))
        try:
            await asyncio.wait((task,), timeout=self.seconds)
        finally:
            if not task.done():
                task.cancel()
                # Its exception is asked for, so that asyncio does not report it.
                task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        if not task.done():
            raise NoAnswerError(f"no answer within {self.seconds:g} s")
        if task.cancelled():  # from inside: passed on, it would look like the end of the run
            raise RuntimeError("cancelled itself")
        return task.result()

    def _ring(self, job: _Job) -> None:
        """Give up on a job that has had its time; look again later at one that has not."""
        if job.answer.done() or job.ended:  # ended: its answer is on the way
            return
        left = self.seconds if job.begun is None else job.begun + self.seconds - monotonic()
        if left > 0:
            job.loop.call_later(left, self._ring, job)
        elif self._abandon(job):
            job.answer.set_exception(NoAnswerError(f"no answer within {self.seconds:g} s"))

    def _abandon(self, job: _Job) -> bool:
        """Leave a job behind; False: it has just ended. When every thread hangs, waiting jobs are refused."""
        with self._changed:
            if job.ended:
                return False
            if job.begun is None:
                self._jobs.remove(job)
                return True
            job.abandoned = True
            self._threads -= 1
            self._hanging += 1
            while self._hanging >= _THREADS and self._jobs:
                waiting = self._jobs.popleft()
                waiting.ended = True
                _settle(waiting, None, NoAnswerError(self._too_often()))
            return True

    def _too_often(self) -> str:
        return f"not called again: {self._hanging} calls gave no answer within {self.seconds:g} s and still hang"

    def _take_jobs(self) -> None:
        while (job := self._next_job()) is not None:
            result, error = None, None
            try:
                result = job.work()
            except BaseException as exc:  # noqa: BLE001 (SystemExit in a grader is the grader's failure, not ours)
                error = exc
            with self._changed:
                job.ended = True
                if job.abandoned:  # back after all: it takes work again
                    self._hanging -= 1
                    self._threads += 1
            _settle(job, result, error)

    def _next_job(self) -> _Job | None:
        with self._changed:
            self._idle += 1
            found = self._changed.wait_for(lambda: self._jobs, timeout=_IDLE_S)
            self._idle -= 1
            if not found:
                self._threads -= 1
                return None
            job = self._jobs.popleft()
            job.begun = monotonic()
            return job


async def _contained(awaitable: Awaitable[Any]) -> Any:
    try:
        return await awaitable
    except SystemExit as exc:  # asyncio would end the loop with it
        raise RuntimeError(f"SystemExit: {exc}") from None


def _settle(job: _Job, result: Any, error: BaseException | None) -> None:
    try:
        job.loop.call_soon_threadsafe(_deliver, job.answer, result, error)
    except RuntimeError:
        return  # the run is over and its loop closed: nothing waits for it


def _deliver(answer: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if answer.done():
        return  # the run was interrupted meanwhile
    if error is None:
        answer.set_result(result)
    elif isinstance(error, Exception) and not isinstance(error, StopIteration):
        answer.set_exception(error)
    else:  # futures refuse StopIteration, and SystemExit would end the loop
        answer.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))


_KINDS_ALLOWED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_LONGEST_REASON = 1000  # characters
_AS_TEXT = (date, datetime, time, timedelta, UUID)  # which a file states as text
_LIMITS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "title", "description")


class _FunctionParameters(FileModel):
    takes_null: ClassVar[bool] = True
    model_config = ConfigDict(arbitrary_types_allowed=True)


class _Annotated:
    """What `get_type_hints` reads one parameter's annotation from."""

    def __init__(self, name: str, annotation: object) -> None:
        self.__annotations__ = {name: annotation}


def where_defined(function: Callable[..., Any]) -> str:
    """Return `file:line` of a function's source."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def declared_parameters(function: Callable[..., Any], name: str) -> type[FileModel]:
    """Make a model of the keyword-only parameters of `def f(ctx, *, limit: int = 50)`.

    Limits and descriptions are pydantic's: `limit: Annotated[int, Field(ge=1, description="Words.")] = 50`.
    Raises WorkspaceError at the function's line.
    """
    where = where_defined(function)
    first, *others = inspect.signature(function).parameters.values() or (None,)
    if first is None or first.kind not in _KINDS_ALLOWED:
        raise WorkspaceError(
            f"grader {name!r} takes no context", where=where, hint="write def f(ctx, *, limit: int = 50)"
        )
    fields: dict[str, Any] = {}
    for parameter in others:
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            raise WorkspaceError(
                f"grader {name!r}: parameter {parameter.name!r} must be keyword-only",
                where=where,
                hint="put a bare * after ctx: def f(ctx, *, limit: int = 50)",
            )
        # By an alias, since a parameter may be called what a model has already: schema, json, copy.
        fields[f"p_{parameter.name}"] = (_type_of(function, parameter, name), _declared(parameter))
    return create_model(name, __base__=_FunctionParameters, __doc__=inspect.getdoc(function), **fields)


def arguments_of(parameters: FileModel) -> dict[str, Any]:
    """Return what a function is called with."""
    return {str(field.alias): getattr(parameters, name) for name, field in type(parameters).model_fields.items()}


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
            hint="use a type that its module imports when it runs",
        ) from None
    return _readable(hints[parameter.name])


def _readable(hint: Any) -> Any:
    """Return a type as a file can state it: msgspec's limits become pydantic's, a text may be an enum's value."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        said = [_limits(one) if isinstance(one, Meta) else one for one in args[1:]]
        return Annotated[(_readable(args[0]), *said)]
    if origin in (Union, UnionType):
        return Union[tuple(map(_readable, args))]  # noqa: UP007 (its sides are not known here)
    if origin in (list, dict, set, frozenset, tuple):
        inner = origin[tuple(map(_readable, args))]
        return inner if origin in (list, dict) else Annotated[inner, Strict(strict=False)]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return Annotated[hint, Strict(strict=False), Words(" or ".join(str(one.value) for one in hint))]
    return Annotated[hint, Strict(strict=False)] if hint in _AS_TEXT else hint


def _limits(meta: Meta) -> FieldInfo:
    limits: dict[str, Any] = {name: limit for name in _LIMITS if (limit := getattr(meta, name)) is not None}
    found: FieldInfo = Field(**limits)
    return found


def _declared(parameter: inspect.Parameter) -> Any:
    default = parameter.default
    if default is inspect.Parameter.empty:
        return Field(alias=parameter.name)
    if isinstance(default, list | dict | set):
        return Field(default_factory=partial(type(default), default), alias=parameter.name)
    return Field(default, alias=parameter.name)


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
            return Verdict.error(one_line(f"{type(exc).__name__}: {exc}{line_of(exc)}"))
        return _verdict(answer, may_say_bool=may_say_bool)

    return judge


def _verdict(answer: Any, *, may_say_bool: bool) -> Verdict:
    if isinstance(answer, Verdict):
        return _checked(answer)
    if may_say_bool and isinstance(answer, bool):
        return Verdict.check(answer, f"returned {answer}")
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
        return Verdict.error(one_line(f"returned a verdict that is not valid: {verdict!r}"))
    reason = one_line(verdict.reason, _LONGEST_REASON)  # it may quote the output
    return verdict if reason == verdict.reason else replace(verdict, reason=reason)


def line_of(exc: Exception) -> str:
    """Say in which file and line the user's code raised."""
    frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(exc.__traceback__)]
    outside = [place for place in frames if PurePath(place[0]).parent != PurePath(__file__).parent]
    return f" ({PurePath(outside[-1][0]).name}:{outside[-1][1]})" if outside else ""


@built_in("python", short="function")
class Python(Parameters):
    """A Python function of the workspace, or of an installed package, returns a verdict or a bool.

    `semantics` does nothing but change the digest: raise it when the function judges differently than before.
    """

    function: str = Field(description="evals/checks.py:polite, or package.module:polite.")
    args: dict[str, JsonValue] = Field(default_factory=dict, description="The function's keyword-only parameters.")
    deadline_s: float | None = Field(None, gt=0, description="Seconds that one call may take. Default: 10.")
    semantics: int = Field(1, description="Raise it when the function begins to judge differently.")

    def compile(self, scope: Scope) -> Compiled:
        function = scope.function(self.function)
        if inspect.isclass(function):
            raise scope.wrong(f"needs a function, and {self.function!r} is a class", at=("function",))
        declared = declared_parameters(function, self.function)
        accepted = read(declared, self.args, partial(scope.where_of, "args"), f"grader {self.function!r}")
        deadline_s = self.deadline_s or scope.environment.deadline_s
        return Compiled(judging(function, arguments_of(accepted), deadline_s, may_say_bool=True))
