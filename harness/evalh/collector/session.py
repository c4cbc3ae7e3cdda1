"""One `evalh collect`: the socket, the receiver, the program, and what is told at the end."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, EPERM
from hashlib import sha256
from importlib.util import find_spec
from ipaddress import ip_address
from time import time

import msgspec
from msgspec import Struct

from evalh.collector.forwarding import Forwarder
from evalh.collector.program import StartedProgram, environment
from evalh.collector.server import Receiver
from evalh.core.errors import CannotMeasure, UsageError
from evalh.core.values import Value
from evalh.interop.otlp_collector import Protocol
from evalh.interop.spans.bodies import Signal, read_body
from evalh.interop.spans.collection import Collection
from evalh.providers.http.egress import is_loopback
from evalh_trace.records import Feedback

_TICK_S = 0.25
_DRAIN_S = 2.0  # most, after the program ended
_LONGEST = 500  # characters of an id or a kind
_MOST_NOTE = 10_000


class CollectOptions(Value, kw_only=True):
    """Where is listened, and what is started."""

    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None
    forward: str | None = None
    command: tuple[str, ...] = ()
    quiet: bool = False  # the program's stdout goes to stderr


class Forwarding(Value):
    """What was sent on."""

    sent: int  # batches
    failed: int
    why: str | None  # the last failure


class Collected(Value):
    """How it ended."""

    code: int | None  # the program's; None: none was started, and it was interrupted
    forwarding: Forwarding | None = None


class _Vote(Struct, forbid_unknown_fields=True):
    """What `POST /feedback` takes."""

    workflow: str
    good: bool | None = None
    note: str | None = None
    kind: str | None = None
    user: str | None = None


class Mailbox:
    """Puts what arrives into a collection."""

    def __init__(self, collection: Collection, clock: Callable[[], float] = time) -> None:
        self._collection, self._clock = collection, clock

    def take(self, signal: Signal, body: bytes, content_type: str, encoding: str) -> int:
        """Take spans or logs; return how many were not taken. Raises NotOtlp."""
        received = read_body(signal, body, content_type, encoding)
        self._collection.add(received, self._clock())
        return received.unreadable

    def vote(self, body: bytes) -> str | None:
        """Take a vote; return what is wrong with it. A later vote of one user and kind replaces an earlier one."""
        try:
            given = msgspec.json.decode(body, type=_Vote)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
            return f'not a vote: {exc}; such as {{"workflow": "ID", "good": false, "note": "…"}}'
        workflow, kind = given.workflow.strip(), given.kind or "vote"
        if not workflow or max(len(workflow), len(kind), len(given.user or "")) > _LONGEST:
            return f"'workflow', 'kind' and 'user' have 1 to {_LONGEST} characters"
        if len(given.note or "") > _MOST_NOTE:
            return f"'note' has at most {_MOST_NOTE:,} characters"
        if given.good is None and given.kind is None:
            return "say 'good': true or false, or name a 'kind', such as copied"
        workflow = workflow.lower() if len(workflow) == 32 else workflow  # noqa: PLR2004 (a trace's id)
        name = sha256(f"{workflow}\n{kind}\n{given.user}".encode()).hexdigest()[:24]
        vote = Feedback(
            id=name,
            workflow_id=workflow,
            at=self._clock(),
            good=given.good,
            kind=kind,
            note=given.note,
            user=given.user,
        )
        self._collection.judge([vote])
        return None

    def settle(self) -> None:
        """Write what is whole."""
        self._collection.settle(self._clock())

    def close(self) -> None:
        """Write the rest."""
        self._collection.close(self._clock())


def listen(options: CollectOptions) -> socket.socket:
    """Open the socket. Raises UsageError for other machines without a token, and for a port that is taken."""
    host = "127.0.0.1" if options.host == "localhost" else options.host.strip("[]")
    try:
        address = ip_address(host)
    except ValueError:
        raise UsageError(f"{options.host!r} is not an address of this machine", hint="--host 0.0.0.0") from None
    if not is_loopback(host) and not options.token:
        hint = "--token T; senders must then send Authorization: Bearer T"
        raise UsageError(f"other machines can reach {host}: that needs a token", hint=hint)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET  # noqa: PLR2004 (IPv6)
    try:
        return socket.create_server((host, options.port), family=family, backlog=512)
    except OSError as exc:
        if exc.errno == EADDRINUSE:
            hint = "another collector? --port 0 uses a free port"
            raise UsageError(f"port {options.port} of {host} is in use", hint=hint) from exc
        if exc.errno in {EACCES, EPERM}:
            raise UsageError(f"no permission to open port {options.port}", hint="use one above 1023") from exc
        if exc.errno == EADDRNOTAVAIL:
            raise UsageError(f"this machine has no address {host}", hint="leave out --host") from exc
        raise CannotMeasure(f"cannot listen on {host}:{options.port}: {exc.strerror}") from exc


def url_of(listening: socket.socket) -> str:
    """Return the address that programs on this machine send to."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (what is asked for, not a default)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def protocol() -> Protocol:
    """Return the encoding that programs are told to use: protobuf, if it can be read here."""
    with suppress(ModuleNotFoundError):
        if find_spec("opentelemetry.proto") is not None:
            return Protocol.PROTOBUF
    return Protocol.JSON


async def collect(
    listening: socket.socket,
    collection: Collection,
    options: CollectOptions,
    env: Mapping[str, str],
    ready: Callable[[str], None],
) -> Collected:
    """Receive until the program ends, or until interrupted. Raises UsageError if the program cannot be started."""
    forwarder = None if options.forward is None else Forwarder(env, options.forward)
    mailbox = Mailbox(collection)
    receiver = Receiver(listening, mailbox, options.token, forwarder)
    signals: asyncio.Queue[int] = asyncio.Queue()
    _listen_to_signals(signals)
    if forwarder is not None:
        await forwarder.open()
    await receiver.open()
    settling = asyncio.create_task(_settle(receiver, mailbox))
    try:
        ready(url_of(listening))
        code = await _until_ended(listening, options, env, signals)
        await asyncio.sleep(_TICK_S)  # what the program sent last may still be on its way
        await receiver.wait_until_idle(_DRAIN_S)
    finally:
        settling.cancel()
        with suppress(asyncio.CancelledError):
            await settling
        await receiver.close(mailbox.close)
        if forwarder is not None:
            await forwarder.close(_DRAIN_S)
    return Collected(code, None if forwarder is None else Forwarding(forwarder.sent, forwarder.failed, forwarder.why))


def _listen_to_signals(signals: "asyncio.Queue[int]") -> None:
    if os.name == "nt":
        return
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, signals.put_nowait, sign)


async def _settle(receiver: Receiver, mailbox: Mailbox) -> None:
    while True:
        await asyncio.sleep(_TICK_S)
        await receiver.in_order(mailbox.settle)


async def _until_ended(
    listening: socket.socket, options: CollectOptions, env: Mapping[str, str], signals: "asyncio.Queue[int]"
) -> int | None:
    if not options.command:
        await signals.get()
        return None
    told = environment(env, url_of(listening), protocol(), options.token)
    program = await StartedProgram.start(options.command, told, quiet=options.quiet)
    ended = asyncio.create_task(program.ended())
    try:
        while not ended.done():
            sign = asyncio.create_task(signals.get())
            await asyncio.wait({ended, sign}, return_when=asyncio.FIRST_COMPLETED)
            if sign.done():
                program.interrupt(sign.result())
            else:
                sign.cancel()
    except asyncio.CancelledError:
        program.kill()
        raise
    return ended.result()
