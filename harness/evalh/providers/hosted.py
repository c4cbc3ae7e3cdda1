"""A model behind HTTP: everything that the hosted APIs share. What differs is a `Wire`."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from evalh.core.attempt import Call, CallError, Completion, ErrorKind
from evalh.core.model import ModelSpec
from evalh.core.request import Message, Request, Settings, ToolCall
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.providers.answer_parts import Assembler, Reading, name_of_tier
from evalh.providers.auth.signer import signer_of
from evalh.providers.auth.token import Granted
from evalh.providers.endpoint import Endpoint, Home
from evalh.providers.http.body import EventStream
from evalh.providers.http.direct import share, unshare
from evalh.providers.http.egress import Egress
from evalh.providers.http.errors import (
    Redactor,
    WireError,
    describe,
    json_of,
    kind_of_status,
    redirected,
    retry_after_s,
    shown,
)
from evalh.providers.http.transport import OK, Response, Transport, answers
from evalh.providers.live_text import Arriving
from evalh.providers.prices import Bill
from evalh.providers.registry import SpecifiedProvider
from evalh.providers.request_parts import encode

_PREPARED_CAP = 64


class Wire(Protocol):
    """How one API is spoken. Reads raise ValueError for what cannot be read; requests raise CallError."""

    @property
    def home(self) -> Home:
        """The API's own address."""

    def path(self, settings: Settings) -> tuple[str, str]:
        """Return the path below the base URL, and the query."""

    def head(self, settings: Settings) -> dict[str, JsonValue]:
        """Return the half of the body that is the same for every call. Raises CallError by name."""

    def tail(self, messages: tuple[Message, ...], settings: Settings) -> dict[str, JsonValue]:
        """Return the half of the body that the messages make. Raises CallError (unsupported) by name."""

    def assembler(self, settings: Settings) -> Assembler:
        """Return what reads an answer, streamed or whole."""

    def refusal(self, status: int, document: JsonValue) -> WireError | None:
        """Read an error's body; None where it is not of the documented shape."""

    def request_id(self, headers: Mapping[str, str], document: JsonValue) -> str | None:
        """Find what the provider's support asks for."""


class _Prepared(Value):
    settings: Settings  # held, so that its id stays its own
    url: str
    head: bytes  # a JSON object without its closing brace


class Hosted(SpecifiedProvider):
    """`core.ports.Provider` over HTTP. One instance serves any number of calls at once."""

    def __init__(
        self,
        spec: ModelSpec,
        env: Mapping[str, str],
        wire: Wire,
        *,
        transport: Transport | None = None,
        root: Path | None = None,
    ) -> None:
        """Build from the model's entry; `root`: where a program that prints a token runs. Raises WorkspaceError."""
        super().__init__(spec)
        self._wire = wire
        self._env = env
        self._endpoint = Endpoint.of(spec, wire.home)
        self._signer = signer_of(spec, self._endpoint.base_url, env, root)
        self._bill = Bill(spec.cost_from)
        self.identity = self._endpoint.identity(spec.options)
        signer = self._signer
        # The first that is set counts; empty: no key is sent, or a program prints it.
        self.key_variables = self._endpoint.key_variables if signer is None else signer.variables
        self.key_program = None if signer is None else signer.program
        self.at_home = self._endpoint.is_home  # the only address whose prices are public
        self._egress = Egress.of(env)
        self._given = transport
        self._transport: Transport | None = None
        self._headers: dict[str, str] = {}
        self._redact = Redactor(())
        self._masked: tuple[str, ...] = ()
        self._prepared: dict[int, _Prepared] = {}

    async def open(self) -> None:
        """Get the key and a transport. Raises UsageError: no key, an unusable proxy or certificate file."""
        if self._transport is not None:
            return
        key = self._endpoint.key(self._env)
        self._egress.proxy_for(self._endpoint.base_url)
        if self._endpoint.base_url.startswith("https:"):
            self._egress.tls()
        self._headers = self._endpoint.headers(key)
        self._redact = Redactor(self._endpoint.secrets(key))
        if self._signer is not None:
            await self._signer.open()
        self._transport = self._given or share(self._egress)

    async def close(self) -> None:
        transport, self._transport = self._transport, None
        if self._signer is not None:
            await self._signer.close()
        if transport is not None and transport is not self._given:
            await unshare(self._egress)

    async def send(self, request: Request, call: Call) -> Completion:
        """Ask once. Raises CallError; whatever it carries is free of the key."""
        try:
            return await self._send(request, call)
        except CallError as error:
            raise self._redact.error(error) from None

    async def _send(self, request: Request, call: Call) -> Completion:
        transport = self._transport
        if transport is None:
            raise RuntimeError(f"model {self.name!r} is used before open() or after close()")
        settings = request.settings
        prepared = self._prepared.get(id(settings)) or self._prepare(settings)
        tail = encode(self._wire.tail(request.messages, settings))
        body = b"%b,%b" % (prepared.head, tail[1:])
        headers, granted = self._headers, None
        if self._signer is not None:
            headers, granted = await self._signer.sign(prepared.url, headers, body)
            self._mask(self._signer.secrets)
        arriving = None if call.on_text is None else Arriving(call.on_text, self._redact)
        assembler = self._wire.assembler(settings)
        stream = _Stream(assembler, self._error, self._bill, arriving) if settings.stream else None
        began = time.perf_counter()
        response = await transport.post(
            prepared.url,
            headers,
            body,
            timeout_s=self.spec.timeout_s,
            on_chunk=None if stream is None else stream.feed,
        )
        latency_ms = (time.perf_counter() - began) * 1000.0
        if not answers(response.status):
            raise self._refused(response, granted)
        if self._signer is not None and granted is not None:
            self._signer.taken(granted)
        content = self._redact.body(response.body)
        ttft_ms = None
        try:
            if stream is not None and stream.events:
                reading = stream.reading()
                ttft_ms = None if stream.first is None else (stream.first - began) * 1000.0
                told = stream.charged
            else:  # not asked to stream, or a server that does not
                assembler.take_whole(content)
                reading = assembler.reading()
                told = self._bill.of_body(content)
        except (ValueError, RecursionError) as exc:
            # Some gateways put their errors into a 200.
            reason = shown(self._redact.text(str(exc))) if isinstance(exc, ValueError) else "nested too deeply"
            unreadable = WireError(ErrorKind.BAD_RESPONSE, f"the answer cannot be read ({reason})")
            raise self._error(response.body, unreadable, OK, response.headers) from None
        cost = self._bill.of_headers(response.headers) if told is None else told
        return self._completion(reading, response, content, (latency_ms, ttft_ms), cost)

    def _completion(
        self,
        reading: Reading,
        response: Response,
        content: bytes,
        times: tuple[float, float | None],
        cost_usd: Decimal | None,
    ) -> Completion:
        redact = self._redact
        calls = reading.tool_calls
        told = (reading.text, *(part for call in calls for part in (call.id, call.name, call.arguments)))
        raw: str | None = content.decode("utf-8", "replace")
        if any(redact.holds(part) for part in told) or redact.hides(content):
            raw = None  # the body spells the key in escapes, or in pieces
            calls = tuple(ToolCall(redact.text(c.id), redact.text(c.name), redact.text(c.arguments)) for c in calls)
        request_id = self._wire.request_id(response.headers, None) or reading.id
        usage, header = reading.usage, self._wire.home.tier_header
        if header is not None and usage.tier is None:
            usage = replace(usage, tier=name_of_tier(response.headers.get(header)))
        return Completion(
            text=redact.text(reading.text),
            finish=reading.finish,
            tool_calls=calls,
            usage=usage,
            latency_ms=times[0],
            ttft_ms=times[1],
            model=reading.model and redact.text(reading.model),
            request_id=request_id and redact.text(shown(request_id)),
            cost_usd=cost_usd,
            logprobs=reading.logprobs,
            reasoning=redact.text(reading.reasoning) or None,
            raw=raw,
        )

    def _prepare(self, settings: Settings) -> _Prepared:
        head = encode(self._wire.head(settings))
        prepared = _Prepared(settings, self._endpoint.url(*self._wire.path(settings)), head[:-1])
        if len(self._prepared) >= _PREPARED_CAP:
            self._prepared.clear()
        self._prepared[id(settings)] = prepared
        return prepared

    def _mask(self, secrets: tuple[str, ...]) -> None:
        """Mask what the signer holds now, beside the user's own secret headers."""
        if secrets is not self._masked:
            self._masked = secrets
            self._redact = Redactor([*self._endpoint.secrets(None), *secrets])

    def _refused(self, response: Response, granted: Granted | None) -> CallError:
        """Classify an answer that is an error by its status: by its body if that says more."""
        status = response.status
        if 300 <= status < 400:  # noqa: PLR2004 (HTTP's own class)
            return CallError(ErrorKind.BAD_REQUEST, redirected(response.headers.get("Location")), status=status)
        error = self._error(
            response.body, WireError(kind_of_status(status), f"HTTP {status}"), status, response.headers
        )
        if self._signer is not None and granted is not None and self._signer.refused(status, granted):
            error.key_renewed = True
        return error

    def _error(self, body: bytes, otherwise: WireError, status: int, headers: Mapping[str, str]) -> CallError:
        """Read an error's body, or an event; `otherwise`: its meaning if it is not of the documented shape."""
        body = self._redact.body(body)  # before anything is cut: half a key is still half a key
        document = json_of(body)
        error = self._wire.refusal(status, document)
        if error is None:
            error = WireError(otherwise.kind, f"{otherwise.message}: {describe(body)}")
        wait_s = retry_after_s(headers, time.time()) if error.kind in _WAITING else None
        return CallError(
            error.kind,
            shown(self._redact.text(error.message)),
            status=status,
            retry_after_s=error.retry_after_s if wait_s is None else wait_s,
            request_id=self._wire.request_id(headers, document),
        )


_WAITING = frozenset({ErrorKind.RATE_LIMIT, ErrorKind.OVERLOAD, ErrorKind.TIMEOUT})


_UNREADABLE_EVENT = WireError(ErrorKind.BAD_RESPONSE, "an event cannot be read")


class _Stream:
    """One streamed answer while it arrives."""

    def __init__(
        self, assembler: Assembler, error: Callable[..., CallError], bill: Bill, arriving: Arriving | None
    ) -> None:
        self._assembler = assembler
        self._bill = bill
        self.charged: Decimal | None = None
        self._error = error
        self._arriving = arriving
        self._source = EventStream()
        self.events = 0
        self.first: float | None = None  # when the first token came, by perf_counter

    def feed(self, chunk: bytes) -> None:
        self._take(self._source.feed(chunk))

    def reading(self) -> Reading:
        self._take(self._source.end())
        return self._assembler.reading()

    def _take(self, events: Iterable[bytes]) -> None:
        for event in events:
            self.events += 1
            try:
                self._assembler.add(event)
            except (ValueError, RecursionError):
                error = self._error(event, _UNREADABLE_EVENT, OK, {})
                error.begun = self.events > 1  # a first event that is an error: the model gave nothing
                raise error from None
            charge = self._bill.of_body(event)
            self.charged = self.charged if charge is None else charge
            if self.first is None and self._assembler.started:
                self.first = time.perf_counter()
            if self._arriving is not None and (text := self._assembler.so_far()):
                self._arriving.so_far(text)
