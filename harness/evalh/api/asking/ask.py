"""`evalh.ask`, `ask_async` and `stream`: a tested prompt or pipeline, asked by the program that needs the answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from evalh.api.asking.background import background
from evalh.api.asking.service import WorkspaceService, service_of
from evalh.core.asking import AnswerRefused, InvalidInputs, Reply
from evalh.core.errors import UsageError, did_you_mean
from evalh.engine.asking.ask_log import AskRequest
from evalh.engine.asking.prompts import Came
from evalh.engine.asking.service import Asks, Terms
from evalh.engine.pipeline.functions import not_json

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pydantic import BaseModel

    from evalh.core.request import Request


class AskKeywords(TypedDict, total=False):
    """The keyword arguments of `ask` and `ask_async`, in addition to the inputs."""

    version: str  # v3; otherwise the live one
    model: str  # a model or route of evalh.toml; otherwise as in a run
    workspace: str | Path  # otherwise EVALH_WORKSPACE, or the evalh.toml upwards from the current folder
    output: "type[BaseModel]"  # the form that the answer must have
    default: Any  # the answer if no model gives one
    given: Mapping[str, Any]  # of a pipeline, by step: a value that replaces the step's output
    timeout_s: float  # otherwise the route's `deadline_s`
    reuse: bool  # use the answer that the same request got before
    whole: bool  # return a `Reply`, with the id, instead of only the value


class StreamKeywords(TypedDict, total=False):
    """The keyword arguments of `stream`, in addition to the inputs."""

    version: str
    model: str
    workspace: str | Path
    timeout_s: float
    whole: bool  # the last item is the `Reply`


def ask(prompt: str, inputs: Mapping[str, Any] | None = None, **options: Unpack[AskKeywords]) -> Any:
    """Return the answer: text, or the JSON value if the prompt has JSON output.

    Raises InvalidInputs and other UsageErrors before anything is sent; after that NoAnswer, BudgetSpent,
    DeadlinePassed, AnswerRefused and Withheld (`evalh.core.asking`). Any thread may call it; the thread waits.
    """
    process = background()
    process.refuse_own_thread()
    service = _service(options, AskKeywords)
    asks = _loaded(service, prompt, options)
    if asks is None:
        asks = service.load(_named(prompt, options))
    future = process.submit(_asking(service, asks, inputs, options))
    try:
        reply = _waited(future)
    except BaseException:
        future.cancel()  # Ctrl-C: nothing goes on without the one who asked
        raise
    return reply if options.get("whole") else reply.value


async def ask_async(prompt: str, inputs: Mapping[str, Any] | None = None, **options: Unpack[AskKeywords]) -> Any:
    """Like `ask`, for a coroutine on any event loop. Cancelling it cancels the requests in flight."""
    service = _service(options, AskKeywords)
    asks = _loaded(service, prompt, options)
    if asks is None:
        asks = await asyncio.to_thread(service.load, _named(prompt, options))
    reply = await _elsewhere(background().submit(_asking(service, asks, inputs, options)))
    return reply if options.get("whole") else reply.value


def stream(
    prompt: str, inputs: Mapping[str, Any] | None = None, **options: Unpack[StreamKeywords]
) -> AsyncIterator[Any]:
    """Return the pieces of the answer's text as they arrive.

    Raises WorkspaceError or UsageError at once if something must read the whole answer first: the checks of a cascade
    or repair, or a pipeline. Closing the iterator cancels the requests in flight.
    """
    service = _service(options, StreamKeywords)
    named = (prompt, options.get("version"), options.get("model"), True)
    asks = service.loaded(named) or service.load(named)
    return _pieces(service, asks, inputs, options)


async def _pieces(
    service: WorkspaceService, asks: Asks, inputs: Mapping[str, Any] | None, options: StreamKeywords
) -> AsyncIterator[Any]:
    here = asyncio.get_running_loop()
    pieces: asyncio.Queue[str | None] = asyncio.Queue()

    def hand_over(piece: str | None) -> None:
        if not here.is_closed():
            here.call_soon_threadsafe(pieces.put_nowait, piece)

    asking = _asking(
        service, asks, inputs, {"timeout_s": options["timeout_s"]} if "timeout_s" in options else {}, hand_over
    )
    future = background().submit(asking)
    future.add_done_callback(lambda _: hand_over(None))
    told: list[str] = []
    try:
        while (piece := await pieces.get()) is not None:
            told.append(piece)
            yield piece
        reply = future.result()
    finally:
        future.cancel()
    rest = _rest(reply, "".join(told))
    if rest:
        yield rest
    if options.get("whole"):
        yield reply


def _rest(reply: Reply, told: str) -> str:
    """Return what was held back. Raises AnswerRefused where the pieces were not the answer's beginning."""
    if not reply.text.startswith(told):
        what = (
            "the pieces that were streamed are not the answer: the model wrote reasoning first, without an opening tag"
        )
        raise AnswerRefused(what, id=reply.id, text=reply.text)
    return reply.text[len(told) :]


# -- the parts of an ask

_LOOK_S = 1.0
_LONGEST_S = 1e8  # more than three years; event loops cannot count to infinity


def _waited(future: "Future[Reply]") -> Reply:
    """Wait for a reply. A signal that comes just before a thread begins to wait is seen when it looks again."""
    while True:
        try:
            return future.result(_LOOK_S)
        except TimeoutError:
            if future.done():
                return future.result()


def _service(options: Mapping[str, Any], known: type) -> WorkspaceService:
    for name in options:
        if name not in known.__annotations__:
            inputs = f"; the prompt's inputs are a mapping, the second argument: {{{name!r}: …}}"
            raise UsageError(f"no option {name!r}", hint=did_you_mean(name, known.__annotations__) + inputs)
    return service_of(options.get("workspace"))


def _named(prompt: str, options: AskKeywords) -> tuple[str, str | None, str | None, bool]:
    if not isinstance(prompt, str):
        raise UsageError(f"a prompt is named by a text, not by {type(prompt).__name__}", hint='evalh.ask("triage", …)')
    return prompt, options.get("version"), options.get("model"), False


def _loaded(service: WorkspaceService, prompt: str, options: AskKeywords) -> Asks | None:
    return service.loaded(_named(prompt, options))


async def _asking(
    service: WorkspaceService,
    asks: Asks,
    inputs: Mapping[str, Any] | None,
    options: AskKeywords,
    on_text: Any = None,
) -> Reply:
    """Ask, on the background loop."""
    asked, prepared = _prepared(service, asks, inputs, options, on_text)
    terms = _terms(asks, options)
    try:
        return await service.ask(asks, asked, prepared, terms)
    except (SystemExit, KeyboardInterrupt) as exc:  # raised by a plugin; it must not end the program that asks
        raise RuntimeError(f"{type(exc).__name__}: {exc}") from exc


def _prepared(
    service: WorkspaceService, asks: Asks, inputs: Mapping[str, Any] | None, options: AskKeywords, on_text: Any
) -> "tuple[AskRequest, Request | None]":
    inputs = {} if inputs is None else inputs
    for name, stated in (("inputs", inputs), ("given", options.get("given") or {})):
        if not isinstance(stated, Mapping):
            raise InvalidInputs(f"{name} must be a mapping of names to values, not {type(stated).__name__}")
    asked = service.request(asks, inputs, options.get("given"), reuse=options.get("reuse", False), on_text=on_text)
    return asked, asks.prepare(asked)


def _terms(asks: Asks, options: AskKeywords) -> Terms:
    timeout_s = options.get("timeout_s")
    if timeout_s is not None and not (isinstance(timeout_s, int | float) and 0 < timeout_s <= _LONGEST_S):
        raise UsageError(f"timeout_s must be a number of seconds above 0, not {timeout_s!r}")
    default = options.get("default")
    if "default" in options and not_json(default) is not None:
        raise UsageError(f"default must be JSON: it {not_json(default)}")
    return Terms(
        timeout_s=timeout_s,
        read=_reader(asks, options["output"]) if options.get("output") is not None else None,
        default=(default,) if "default" in options else None,
    )


def _reader(asks: Asks, output: Any) -> Any:
    """Return what makes an answer an object of a pydantic model. Raises UsageError for what is none."""
    if not (isinstance(output, type) and hasattr(output, "model_validate")):
        shown = getattr(output, "__name__", type(output).__name__)
        raise UsageError(f"output must be a pydantic model, not {shown}", hint="class Label(pydantic.BaseModel): …")
    if not asks.gives_json:
        what = f"output={output.__name__}: {asks.version.label} gives text, and a model is made of JSON"
        raise UsageError(what, hint="output: {format: json, schema: …} in the prompt's front matter")

    def read(came: Came) -> object:
        from pydantic import ValidationError

        try:
            return output.model_validate(came.value)
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ValueError(
                f"the answer is not a {output.__name__}: {place + ': ' if place else ''}{first['msg']}"
            ) from None

    return read


async def _elsewhere(future: "Future[Reply]") -> Reply:
    return await asyncio.wrap_future(future)
