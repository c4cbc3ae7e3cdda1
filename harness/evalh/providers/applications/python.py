"""`provider = "python"`: a function of the workspace, or of an installed package, is the application.

It runs in a thread of its own, and an async one on an event loop that all calls share, as its clients expect: a
function that blocks or never returns costs its own call and nothing else.
"""

import asyncio
import inspect
import json
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from importlib import invalidate_caches
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from msgspec.structs import replace
from pydantic import Field

from evalh.core.attempt import Call, CallError, Completion, ErrorKind
from evalh.core.declared import Words
from evalh.core.errors import WorkspaceError
from evalh.core.model import ModelSpec, Traits
from evalh.core.request import Request
from evalh.core.values import Value
from evalh.providers.applications.answers import plain
from evalh.providers.applications.application import Application, CodeOptions, trace_of, traceparent
from evalh.providers.applications.slots import WORDS, value_of
from evalh.providers.http.body import BODY_CAP_BYTES
from evalh.providers.http.errors import shown
from evalh.providers.registry import ProviderContext, read_options

TRAITS = Traits(runs_code=True, function_in="call")

_TRACE = "traceparent"
_WORDS = (*WORDS, _TRACE)
_NAMED = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


class Options(CodeOptions):
    """The keys of an application that is a Python function."""

    call: Annotated[
        str, Field(pattern=r"^[^:\s]+:[^:\s]+$"), Words("FILE.py:FUNCTION", 'call = "app/flow.py:handle"')
    ] = Field(description="The function that is called: `app/flow.py:handle`, or `package.module:handle`.")


class PythonApplication(Application):
    """Calls the function with what its parameters name."""

    def __init__(self, spec: ModelSpec, options: Options, context: ProviderContext) -> None:
        """Load the function. Raises WorkspaceError."""
        super().__init__(spec, options, context)
        try:
            with _own_modules(context.root, options.call):
                self._function = context.load_function(options.call)
        except WorkspaceError as exc:
            raise exc if exc.where else spec.wrong(exc.what, exc.hint) from exc
        self._path = options.call
        self.made_of(options.files, () if options.files else _beside(options.call))
        self._parameters = _parameters(spec, options.call, self._function)
        self._is_async = inspect.iscoroutinefunction(inspect.unwrap(self._function))
        self._loop: asyncio.AbstractEventLoop | None = None

    async def close(self) -> None:
        await super().close()
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    async def ask(self, request: Request, call: Call) -> Completion:
        """Call the function once. Raises CallError."""
        handed = self._handed(request, call)
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self.spec.timeout_s):
                given = await asyncio.wrap_future(self._begin(partial(self._function, **handed)))
        except TimeoutError:
            what = f"{self._path} did not return within {self.spec.timeout_s:g} s"
            raise CallError(ErrorKind.TIMEOUT, what) from None
        if isinstance(given, _Raised):
            raise self._raised(given.error)
        return self._completion(given, call, (time.perf_counter() - began) * 1000.0)

    def _handed(self, request: Request, call: Call) -> dict[str, Any]:
        handed: dict[str, Any] = {}
        for name, required in self._parameters.items():
            if name == _TRACE:
                handed[name] = traceparent(call)
            elif name in WORDS:
                handed[name] = value_of(name, request, call)
            elif required or (request.inputs is not None and name in request.inputs):
                handed[name] = value_of(f"inputs.{name}", request, call)
        return handed

    def _begin(self, work: Callable[[], Any]) -> "Future[Any]":
        if self._is_async:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                _in_thread(partial(_serve, self._loop))
            return asyncio.run_coroutine_threadsafe(_awaited(work), self._loop)
        answer: Future[Any] = Future()
        _in_thread(partial(_settle, answer, work))
        return answer

    def _completion(self, given: object, call: Call, latency_ms: float) -> Completion:
        if isinstance(given, Completion):
            took = latency_ms if given.latency_ms is None else given.latency_ms
            return replace(given, latency_ms=took, request_id=given.request_id or trace_of(call))
        text = plain(given) if isinstance(given, str) else self._json(given)
        body = text.encode()
        if len(body) > BODY_CAP_BYTES:
            raise CallError(ErrorKind.BAD_RESPONSE, f"{self._path} returned more than {BODY_CAP_BYTES // 2**20} MiB")
        return self.read(body, call, latency_ms)

    def _json(self, given: object) -> str:
        if given is None:
            raise CallError(ErrorKind.BAD_RESPONSE, f"{self._path} returned nothing, not a text or a value of JSON")
        try:
            return plain(json.dumps(given, ensure_ascii=False, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as exc:
            what = f"{self._path} returned a {type(given).__name__} that is not JSON: {shown(str(exc))}"
            raise CallError(ErrorKind.BAD_RESPONSE, what) from None

    def _raised(self, exc: BaseException) -> CallError:
        if isinstance(exc, CallError):
            return exc
        frames = traceback.extract_tb(exc.__traceback__)
        line = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
        return CallError(ErrorKind.BAD_RESPONSE, shown(f"{line}{type(exc).__name__}: {_said(exc)}"))


def _said(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception:  # noqa: BLE001 (an application's own exception may raise while it is read)
        return "it cannot be shown"


class _Raised(Value):
    """What the function raised. It is handed over as a value, for a TimeoutError of the function is not ours."""

    error: BaseException


async def _awaited(work: Callable[[], Any]) -> Any:
    try:
        return await work()
    except BaseException as exc:  # noqa: BLE001 (SystemExit too: an application cannot end the run)
        return _Raised(exc)


def _settle(answer: "Future[Any]", work: Callable[[], Any]) -> None:
    answer.set_running_or_notify_cancel()  # who waits may go away, and the function goes on
    try:
        given = work()
    except BaseException as exc:  # noqa: BLE001 (as above)
        given = _Raised(exc)
    answer.set_result(given)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="evalh-application", daemon=True).start()


@contextmanager
def _own_modules(root: Path, path: str) -> Iterator[None]:
    """Import what lies beside a function from its own root: a gate loads an application twice, each at its revision.

    Python keeps one module of a name. The other root's are put aside, and put back.
    """
    top = PurePosixPath(path.rpartition(":")[0]).parts[0].partition(".")[0]
    beside = {top} if (root / top).is_dir() else {file.stem for file in root.glob("*.py")}
    beside -= {*sys.stdlib_module_names, "evalh"}
    mine = str(root.resolve())
    aside = {name: one for name, one in sys.modules.items() if name.partition(".")[0] in beside}
    if all(str(getattr(one, "__file__", None) or mine).startswith(mine) for one in aside.values()):
        aside = {}
    for name in aside:
        del sys.modules[name]
    sys.path.insert(0, mine)
    invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(mine)
        if mine not in sys.path:
            sys.path.append(mine)  # what a function imports when it is called
        if aside:
            for name in [name for name in sys.modules if name.partition(".")[0] in beside]:
                del sys.modules[name]
            sys.modules.update(aside)


def _beside(path: str) -> list[str]:
    """Return what a function is usually made of: the modules in its file's folder and below, at the root beside it."""
    file = PurePosixPath(path.rpartition(":")[0])
    if file.suffix != ".py" or file.is_absolute() or ".." in file.parts:
        return []
    return ["*.py"] if len(file.parts) == 1 else [f"{file.parent}/**/*.py"]


def _parameters(spec: ModelSpec, path: str, function: Callable[..., object]) -> dict[str, bool]:
    """Return the parameters, and whether each must be filled. Raises WorkspaceError for what no name can fill."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise spec.wrong(f"{path} has no signature that can be read") from None
    found: dict[str, bool] = {}
    for one in parameters:
        required = one.default is inspect.Parameter.empty
        if one.kind is inspect.Parameter.VAR_KEYWORD:
            found |= dict.fromkeys(_WORDS, True)
        elif one.kind in _NAMED:
            found[one.name] = required
        elif one.kind is inspect.Parameter.POSITIONAL_ONLY and required:
            hint = f"remove the `/`, and name it {', '.join(_WORDS)}, or like an input of the case"
            raise spec.wrong(f"{path} takes {one.name!r} by position only", hint)
    return found


def build(spec: ModelSpec, context: ProviderContext) -> PythonApplication:
    """Build from the options. Raises WorkspaceError."""
    return PythonApplication(spec, read_options(spec, Options), context)
