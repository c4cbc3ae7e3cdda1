"""What the hosted services' fakes share: how one is described, how it replies, and what all refuse alike."""

import asyncio
import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from evalh.core.model import ModelSpec
from evalh.providers.hosted import Hosted, Wire
from wire.serving import Seen, stream


@dataclass(frozen=True)
class Reply:
    """What a service answers with once it has accepted a request."""

    body: Any = None  # JSON, or bytes as they are
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: Sequence[bytes] = ()  # server-sent events instead of a body
    pause_s: float = 0.0  # before the body, or after each chunk

    async def send(self, request: web.Request) -> web.StreamResponse:
        if self.chunks:
            return await stream(request, list(self.chunks), pause_s=self.pause_s)
        await asyncio.sleep(self.pause_s)
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return web.Response(status=self.status, body=body, headers={"Content-Type": "application/json", **self.headers})


@dataclass(frozen=True)
class Service:
    """One provider's service."""

    kind: str
    name: str  # the kind, or the API where a kind has several
    model: str
    base: str  # the path of its base URL
    wire: Callable[[ModelSpec], Wire]
    key_headers: tuple[str, str]  # the header, and what stands before the key in it
    wrong: Callable[[Seen], Iterator[str]]  # what the service would refuse the request for
    error: Callable[[int, str, str], Any]  # an error's body: status, type, message
    answer: Callable[..., Any]  # a whole answer's body: text
    events: Callable[[Sequence[str]], list[bytes]]  # the same, streamed: pieces of text

    def build(self, spec: ModelSpec, env: Mapping[str, str], **more: Any) -> Hosted:
        return Hosted(spec, env, self.wire(spec), **more)


def event(data: Any, name: str | None = None) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def keyed(seen: Seen, header: str, prefix: str = "") -> Iterator[str]:
    if not re.fullmatch(re.escape(prefix) + r"[^\s]+", seen.headers.get(header, "")):
        yield f"no key in {header}"
    if seen.headers.get("content-type") != "application/json":
        yield "not application/json"
    if seen.query and "key" in seen.query:
        yield "a key in the URL"


def unknown(given: Mapping[str, Any], known: str, where: str) -> Iterator[str]:
    for name in given:
        if name not in known.split():
            yield f"{where}: {name}: extra inputs are not permitted"


def is_base64(text: str) -> bool:
    return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text


def at_path(seen: Seen, path: str) -> Iterator[str]:
    if seen.path != path or seen.query:
        yield f"no such path {seen.path}?{seen.query}"


def inner_schemas(schema: Any) -> list[Any]:
    """Every schema that stands directly inside another."""
    return [
        *schema.get("properties", {}).values(),
        *schema.get("$defs", {}).values(),
        *schema.get("anyOf", []),
        *schema.get("allOf", []),
        *([schema["items"]] if "items" in schema else []),
    ]
