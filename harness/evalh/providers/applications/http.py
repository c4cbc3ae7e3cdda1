"""`provider = "http"`: an application behind an address. It is sent a JSON body, and answers JSON, text or events."""

import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from evalh.core.attempt import Call, CallError, Completion, ErrorKind, Usage
from evalh.core.declared import Refused, Words
from evalh.core.errors import KeyMissing, UsageError
from evalh.core.model import ModelSpec, Traits
from evalh.core.request import Request
from evalh.core.strict_json import JsonValue
from evalh.providers.applications.answers import AnswerReader, found, json_of, json_or_none, plain
from evalh.providers.applications.application import Application, ApplicationOptions, traceparent
from evalh.providers.applications.slots import compiled
from evalh.providers.endpoint import address_of, is_header, is_secret, refuse_unsendable
from evalh.providers.http.body import EventStream
from evalh.providers.http.direct import share, unshare
from evalh.providers.http.egress import Egress, is_loopback
from evalh.providers.http.errors import Redactor, describe, kind_of_status, redirected, retry_after_s, shown
from evalh.providers.http.transport import OK, Response, Transport, answers
from evalh.providers.live_text import Arriving
from evalh.providers.prices import Bill
from evalh.providers.registry import ProviderContext, read_options
from evalh.providers.request_parts import encode

TRAITS = Traits(reads_files=False, runs_code=True)

_URL = 'url = "http://localhost:8000/chat"'
_BODY = 'body = {question = "{{prompt}}"}'
_OURS = "traceparent"
_WAITING = frozenset({ErrorKind.RATE_LIMIT, ErrorKind.OVERLOAD, ErrorKind.TIMEOUT})
_DONE = b"[DONE]"
_VARIABLE = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"),
    Words("the name of an environment variable, never a key", 'headers_env = {Authorization = "APP_AUTH"}'),
]


class Options(ApplicationOptions):
    """The keys of an application behind HTTP."""

    url: Annotated[str, Words(hint=_URL)] = Field(description="The address. Requests are sent by POST.")
    body: Annotated[Any, Words(hint=_BODY)] = Field(description="The body of the request: JSON with slots.")
    headers: Mapping[str, str] = Field({}, description="Headers that are sent with every request.")
    headers_env: dict[str, _VARIABLE] = Field(
        default_factory=dict, description="Headers whose values are in environment variables, by the variables' names."
    )
    stream: (
        Annotated[
            str,
            Field(pattern=r"^sse:[^\s.$][^\s.]*(\.[^\s.]+)*$"),
            Words("sse: and the path of a piece of text in an event's JSON", 'stream = "sse:delta"'),
        ]
        | None
    ) = Field(None, description="The place of the text in an event of a stream: `sse:delta`.")

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        address_of(url, "url", _URL, "headers_env")
        return url

    @field_validator("body")
    @classmethod
    def _can_be_filled(cls, body: Any) -> Any:
        compiled(body)
        return body

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        refuse_unsendable(headers)
        return headers

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> Self:
        if self.stream is not None and self.output is not None:
            raise Refused("'stream' says where the output is, and so does 'output'", 'stream = "sse:delta"')
        refuse_unsendable(dict.fromkeys(self.headers_env, ""))
        names = [name.lower() for name in (*self.headers, *self.headers_env)]
        twice = next((name for name in names if name == _OURS or names.count(name) > 1), None)
        if twice is not None:
            raise Refused(f"header {twice!r} is set {'by evalh' if twice == _OURS else 'twice'}", "leave it out")
        return self


class HttpApplication(Application):
    """Asks by POST. One instance serves any number of calls at once."""

    def __init__(self, spec: ModelSpec, options: Options, context: ProviderContext) -> None:
        """Check where keys go. Raises WorkspaceError."""
        super().__init__(spec, options, context)
        self._options = options
        self._fill = compiled(options.body)
        self._secret = {name: value for name, value in options.headers.items() if is_secret(name)}
        parts = address_of(options.url, "url", _URL)
        if parts.scheme == "http" and (self._secret or options.headers_env) and not is_loopback(str(parts.hostname)):
            raise spec.wrong(f"a key would be sent to {parts.hostname} unencrypted", "use https")
        open_headers = {name.lower(): value for name, value in options.headers.items() if name not in self._secret}
        self.identity = {**self.identity, "headers": dict(sorted(open_headers.items()))}
        self.key_variables = tuple(options.headers_env.values())
        self._egress = Egress.of(context.env)
        self._env = context.env
        self._transport: Transport | None = None
        self._headers: dict[str, str] = {}

    async def open(self) -> None:
        """Read the secret headers and get a transport. Raises UsageError."""
        if self._transport is not None:
            return
        kept = {name: self._value(name, variable) for name, variable in self._options.headers_env.items()}
        self._egress.proxy_for(self._options.url)
        if self._options.url.startswith("https:"):
            self._egress.tls()
        named = {name.lower() for name in (*self._options.headers, *kept)}
        own = {} if "content-type" in named else {"Content-Type": "application/json"}
        self._headers = {**own, **self._options.headers, **kept}
        values = [*self._secret.values(), *kept.values()]
        bare = [
            value.split(None, 1)[1] for value in values if len(value.split(None, 1)) > 1
        ]  # of `Bearer sk-…` the key
        self.redact = Redactor([*values, *bare])
        self._transport = share(self._egress)

    def _value(self, name: str, variable: str) -> str:
        value = self._env.get(variable, "").strip()
        where = self.spec.where or None
        if not value:
            what = f"model {self.name!r} sends the header {name}, and {variable} is not set"
            raise KeyMissing(what, where=where, hint=f"export {variable}=…")
        if not is_header(name, value):
            what = f"model {self.name!r}: {variable} has a character that is not allowed in a header"
            raise UsageError(what, where=where, hint=f"set {variable} to the header's value alone, on one line")
        return value

    async def close(self) -> None:
        await super().close()
        transport, self._transport = self._transport, None
        if transport is not None:
            await unshare(self._egress)

    async def ask(self, request: Request, call: Call) -> Completion:
        """Ask once. Raises CallError."""
        if self._transport is None:
            raise RuntimeError(f"model {self.name!r} is used before open() or after close()")
        body = encode(self._fill(request, call))
        arriving = None if call.on_text is None else Arriving(call.on_text, self.redact)
        path = self._options.stream
        events = None if path is None else _Events(path.removeprefix("sse:"), self.reader, self._bill, arriving)
        began = time.perf_counter()
        response = await self._transport.post(
            self._options.url,
            {**self._headers, _OURS: traceparent(call)},
            body,
            timeout_s=self.spec.timeout_s,
            on_chunk=None if events is None else events.feed,
        )
        latency_ms = (time.perf_counter() - began) * 1000.0
        if not answers(response.status):
            raise self._refused(response)
        more: dict[str, Any] = {}
        if (charge := self._bill.of_headers(response.headers)) is not None:
            more["cost_usd"] = charge
        try:
            if events is None:
                return self.read(response.body, call, latency_ms, **more)
            text = events.text()
        except CallError as error:
            error.status = OK
            raise
        content = self.redact.body(response.body)
        raw = None if self.redact.hides(content) or self.redact.holds(text) else content.decode("utf-8", "replace")
        ttft_ms = None if events.first is None else (events.first - began) * 1000.0
        more = {"cost_usd": events.charged, **more, "ttft_ms": ttft_ms, "latency_ms": latency_ms, "raw": raw}
        return self.completion(call, text, events.usage, **more)

    def _refused(self, response: Response) -> CallError:
        """Classify an answer that is an error: by what `error_if` finds in it, otherwise by its status."""
        status = response.status
        if 300 <= status < 400:  # noqa: PLR2004 (HTTP's own class)
            message = redirected(response.headers.get("Location"), "url")
            return CallError(ErrorKind.BAD_REQUEST, message, status=status)
        body = self.redact.body(response.body)  # before anything is cut: half a key is still half a key
        kind, message = kind_of_status(status), f"HTTP {status}: {describe(body)}"
        try:
            self.reader.refuse(json_or_none(body))
        except CallError as error:
            kind, message = error.kind, error.message
        wait_s = retry_after_s(response.headers, time.time()) if kind in _WAITING else None
        return CallError(kind, shown(message), status=status, retry_after_s=wait_s)


class _Events:
    """One streamed answer while it arrives: events of JSON, each with a piece of the output."""

    def __init__(self, path: str, reader: AnswerReader, bill: Bill, arriving: Arriving | None) -> None:
        self._path = path
        self._reader = reader
        self._bill = bill
        self._arriving = arriving
        self._source = EventStream()
        self._pieces: list[str] = []
        self._events = 0
        self.usage = Usage()
        self.charged: Decimal | None = None
        self.first: float | None = None  # when the first piece came, by perf_counter

    def feed(self, chunk: bytes) -> None:
        self._take(self._source.feed(chunk))

    def text(self) -> str:
        """Return the whole output. Raises CallError where none came."""
        self._take(self._source.end())
        if not self._pieces:
            what = f"no event has {self._path!r}" if self._events else "no event came"
            raise CallError(ErrorKind.BAD_RESPONSE, f"the stream holds no output: {what}")
        return plain("".join(self._pieces))

    def _take(self, events: Iterable[bytes]) -> None:
        for event in events:
            if event.strip() == _DONE:
                continue
            self._events += 1
            try:
                document = json_of(event)
                self._reader.refuse(document)
            except CallError as error:
                error.begun = self._events > 1
                raise
            self._add(document)
            usage, charge = self._reader.usage(document), self._bill.of_body(event)
            self.usage = self.usage if usage == Usage() else usage
            self.charged = self.charged if charge is None else charge

    def _add(self, document: JsonValue) -> None:
        piece = found(document, self._path)
        if not isinstance(piece, str) or not piece:
            return
        self._pieces.append(piece)
        self.first = self.first or time.perf_counter()
        if self._arriving is not None:
            self._arriving.so_far(plain("".join(self._pieces)))


def build(spec: ModelSpec, context: ProviderContext) -> HttpApplication:
    """Build from the options. Raises WorkspaceError."""
    return HttpApplication(spec, read_options(spec, Options), context)
