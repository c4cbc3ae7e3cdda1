"""Workflows and steps around functions, coroutines, generators, async generators, and `with` blocks.

A generator's is open until it is consumed or closed, and the current one only while the generator itself runs.
"""

import types
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar

from evalh_trace import values
from evalh_trace.spans import CURRENT, Span, attempted, begin, end, leave
from evalh_trace.tracer import TRACER

F = TypeVar("F", bound=Callable[..., Any])

_COROUTINE = 0x80 | 0x100  # flags of code objects: inspect would take as long to import as all of the tracer
_GENERATOR = 0x20
_ASYNC_GENERATOR = 0x200
_VARARGS = 0x04


class Opening:
    """What `workflow(…)` and `step(…)` return: a decorator and a context manager."""

    def __init__(self, name: str | None, kind: str, options: dict[str, Any]) -> None:
        self._name = name
        self._kind = kind
        self._options = options
        self._open: list[Span] = []

    def __call__(self, function: F) -> F:
        """Trace each call of a function."""
        name = self._name or getattr(function, "__name__", None) or type(function).__name__
        return traced(function, name, self._kind, self._options)

    def __enter__(self) -> Span:
        span = begin(self._name or self._kind, self._kind, self._options.get("inputs"), self._options)
        self._open.append(span)
        return span

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        span = self._open.pop()
        leave(span)
        end(span, error)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.__exit__(kind, error, traceback)


def traced(function: F, name: str, kind: str, options: dict[str, Any]) -> F:
    """Return the function with a span around each call, of the same sort as before."""
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    read = _Arguments(function)

    def opened(given: tuple[Any, ...], named: dict[str, Any]) -> Span:
        inputs = None if TRACER.content_off else attempted(read, given, named)
        return begin(name, kind, inputs, options)

    def opened_apart(given: tuple[Any, ...], named: dict[str, Any]) -> Span:
        span = opened(given, named)
        leave(span)
        return span

    if flags & _COROUTINE:
        call = _coroutine(function, opened)
    elif flags & _ASYNC_GENERATOR:
        call = _async_generator(function, opened_apart)
    elif flags & _GENERATOR:
        call = _generator(function, opened_apart)
    else:
        call = _plain(function, opened)
    wrapped: Any = update_wrapper(call, function)
    return wrapped  # type: ignore[no-any-return]


_Opened = Callable[[tuple[Any, ...], dict[str, Any]], Span]


def _plain(function: Callable[..., Any], opened: _Opened) -> Callable[..., Any]:
    def call(*given: Any, **named: Any) -> Any:
        span = opened(given, named)
        try:
            result = function(*given, **named)
        except BaseException as error:
            leave(span)
            end(span, error)
            raise
        leave(span)
        # A function may hand out what is yet to run.
        if isinstance(result, types.CoroutineType):
            return _awaited(result, span)
        if isinstance(result, types.GeneratorType):
            return _consumed(result, span)
        if isinstance(result, types.AsyncGeneratorType):
            return _async_generator(lambda: result, lambda *_: span)()
        span.output = result
        end(span)
        return result

    return call


def _coroutine(function: Callable[..., Any], opened: _Opened) -> Callable[..., Any]:
    async def call(*given: Any, **named: Any) -> Any:
        span = opened(given, named)
        try:
            span.output = result = await function(*given, **named)
        except BaseException as error:
            leave(span)
            end(span, error)
            raise
        leave(span)
        end(span)
        return result

    return call


def _generator(function: Callable[..., Any], opened: _Opened) -> Callable[..., Any]:
    def call(*given: Any, **named: Any) -> Any:
        span = opened(given, named)
        return (yield from _consumed(function(*given, **named), span))

    return call


def _async_generator(function: Callable[..., Any], opened: _Opened) -> Callable[..., Any]:
    """Run an async generator inside its span, and leave the span wherever the program goes on."""

    async def call(*given: Any, **named: Any) -> Any:
        span = opened(given, named)
        generator = function(*given, **named)
        items = _Items(span)
        step, argument = generator.asend, None
        while True:
            before = CURRENT.get()
            CURRENT.set(span)
            try:
                item = await step(argument)
            except StopAsyncIteration:
                items.end()
                return
            except BaseException as error:
                items.end(error)
                raise
            finally:
                CURRENT.set(before)
            items.add(item)
            try:
                argument = yield item
                step = generator.asend
            except GeneratorExit:
                await _close_async(generator, span, items)
                raise
            except BaseException as error:  # noqa: BLE001 (thrown into the generator, as the program asks)
                step, argument = generator.athrow, error

    return call


async def _awaited(coroutine: Any, span: Span) -> Any:
    before = CURRENT.get()
    CURRENT.set(span)
    try:
        span.output = result = await coroutine
    except BaseException as error:
        CURRENT.set(before)
        end(span, error)
        raise
    CURRENT.set(before)
    end(span)
    return result


class _Items:
    """What a generator gave so far, as bytes: it may change what it has given."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._items: list[bytes] = []
        self._size = 0

    def add(self, item: Any) -> None:
        if not TRACER.content_off and self._size <= values.MOST_KEPT:
            attempted(self._add, item)

    def _add(self, item: Any) -> None:
        encoded = values.encode(item)
        self._size += len(encoded)
        self._items.append(encoded if self._size <= values.MOST_KEPT else values.encode(values.cut_note(len(encoded))))

    def end(self, error: BaseException | None = None, *, closed: bool = False) -> None:
        self._span.output_bytes = b"[" + b",".join(self._items) + b"]"
        self._span.attributes = {"items": True, **({"closed_early": True} if closed else {})}
        end(self._span, error)


def _consumed(generator: Any, span: Span) -> Any:
    """Run a generator inside its span (PEP 380's rules), and leave the span wherever the program goes on."""
    items = _Items(span)
    step, argument = generator.send, None
    while True:
        before = CURRENT.get()
        CURRENT.set(span)
        try:
            item = step(argument)
        except StopIteration as stop:
            items.end()
            return stop.value
        except BaseException as error:
            items.end(None if isinstance(error, GeneratorExit) else error, closed=isinstance(error, GeneratorExit))
            raise
        finally:
            CURRENT.set(before)
        items.add(item)
        try:
            argument = yield item
            step = generator.send
        except GeneratorExit:
            _close(generator, span, items)
            raise
        except BaseException as error:  # noqa: BLE001 (thrown into the generator, as the program asks)
            step, argument = generator.throw, error


def _close(generator: Any, span: Span, items: _Items) -> None:
    before = CURRENT.get()
    CURRENT.set(span)
    try:
        generator.close()
    except BaseException as error:
        items.end(error)
        raise
    finally:
        CURRENT.set(before)
    items.end(closed=True)


async def _close_async(generator: Any, span: Span, items: _Items) -> None:
    before = CURRENT.get()
    CURRENT.set(span)
    try:
        await generator.aclose()
    except BaseException as error:
        items.end(error)
        raise
    finally:
        CURRENT.set(before)
    items.end(closed=True)


class _Arguments:
    """Reads a call's arguments by name, with the defaults of those that were left out."""

    def __init__(self, function: Callable[..., Any]) -> None:
        code = getattr(function, "__code__", None)
        names = () if code is None else code.co_varnames
        known = 0 if code is None else code.co_argcount
        self._names = names[:known]
        self._method = self._names[:1] in {("self",), ("cls",)}
        keywords = 0 if code is None else code.co_kwonlyargcount
        self._rest = names[known + keywords] if code is not None and code.co_flags & _VARARGS else "args"
        defaults = getattr(function, "__defaults__", None) or ()
        self._defaults = dict(zip(self._names[len(self._names) - len(defaults) :], defaults, strict=True))
        self._defaults |= getattr(function, "__kwdefaults__", None) or {}

    def __call__(self, given: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        inputs = dict(zip(self._names, given, strict=False)) | named
        inputs |= {name: value for name, value in self._defaults.items() if name not in inputs}
        if len(given) > len(self._names):
            inputs[self._rest] = list(given[len(self._names) :])
        if self._method:
            inputs.pop(self._names[0], None)
        return inputs
