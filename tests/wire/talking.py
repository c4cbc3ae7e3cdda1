"""A provider and the service behind it, talking over a real socket."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from evalh.core.attempt import Call, CallError, CallKey, Completion
from evalh.core.model import ModelSpec
from evalh.core.request import Message, Request, Role, Settings
from evalh.core.route import RetryPolicy
from evalh.providers.hosted import Hosted
from evalh.providers.http.direct import DirectTransport
from evalh.providers.http.egress import Egress
from evalh.providers.http.transport import Response
from evalh.routing.retry import Retrying
from unit.routing.staging import Stage
from wire.anthropic_service import ANTHROPIC
from wire.gemini_service import GEMINI
from wire.openai_service import OPENAI
from wire.responses_service import RESPONSES
from wire.service import Reply, Service
from wire.serving import Handler, Seen, Served, serving

KEY = "sk-live-4f9c2a7e8b1d"
ENV = {"TEST_KEY": KEY}
SERVICES = (OPENAI, RESPONSES, ANTHROPIC, GEMINI)


@dataclass
class Talk:
    """An open provider and the service behind it."""

    model: Hosted
    server: Served

    async def ask(self, *messages: Message, **settings: Any) -> Completion:
        asked = messages or (Message.of(Role.USER, "hello"),)
        return await self.send(Request(asked, settings_of(self.model, **settings)))

    async def send(self, request: Request) -> Completion:
        return await self.model.send(request, Call(id="r:1", run_id="r", key=CallKey("t-1"), request=request))

    async def retried(self) -> Completion:
        """Ask as a route does: with the loop that may send again."""
        request = Request((Message.of(Role.USER, "hello"),), settings_of(self.model))
        call = Call(id="r:1", run_id="r", key=CallKey("t-1"), request=request)
        return await Retrying(self.model, RetryPolicy(), Stage().shared).send(request, call)

    async def failing(self, *messages: Message, **settings: Any) -> CallError:
        try:
            answer = await self.ask(*messages, **settings)
        except CallError as error:
            return error
        raise AssertionError(f"an answer instead of an error: {answer}")

    @property
    def sent(self) -> Any:
        """The body that arrived last."""
        return self.server.last


def settings_of(model: Hosted, **settings: Any) -> Settings:
    params = {"max_tokens": 50, **settings.pop("params", {})}
    return Settings(model=model.model, sent_to=model.identity, params=params, **settings)


def spec_of(service: Service, url: str | None, **spec: Any) -> ModelSpec:
    return ModelSpec(
        **{
            "name": "strong",
            "provider": service.kind,
            "model": service.model,
            "api_key_env": "TEST_KEY",
            "base_url": url and f"{url}{service.base}",
            "timeout_s": 20.0,
            "where": "evalh.toml:7",
            **spec,
        }
    )


@asynccontextmanager
async def talking(service: Service, reply: Reply | None = None, **spec: Any) -> AsyncIterator[Talk]:
    """Open a provider at a server that checks each request as the service would, then sends the reply."""
    answer = reply or Reply(service.answer("hi"))
    async with serving(checking(service, answer)) as server, opened(service, server.url, **spec) as model:
        yield Talk(model, server)


class Rerouted:
    """A transport that takes what is meant for the provider's own address to a server here."""

    def __init__(self, server: Served) -> None:
        self._server = server
        self._sockets = DirectTransport(Egress())
        self.urls: list[str] = []

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, **how: Any) -> Response:
        self.urls.append(url)
        here = urlsplit(self._server.url)
        return await self._sockets.post(
            urlsplit(url)._replace(scheme=here.scheme, netloc=here.netloc).geturl(), headers, body, **how
        )

    async def close(self) -> None:
        await self._sockets.close()


@asynccontextmanager
async def at_home(service: Service, **spec: Any) -> AsyncIterator[tuple[Talk, list[str]]]:
    """Open a provider at its own address, which is rerouted; hand out the URLs that it asked, too."""
    variable = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY"}[service.kind]
    async with serving(checking(service, Reply(service.answer("hi")))) as server:
        rerouted = Rerouted(server)
        model = service.build(spec_of(service, None, api_key_env=None, **spec), {variable: KEY}, transport=rerouted)
        await model.open()
        yield Talk(model, server), rerouted.urls
        await model.close()
        await rerouted.close()


def checking(service: Service, answer: Reply) -> Handler:
    async def handle(request: web.Request, seen: Seen) -> web.StreamResponse:
        wrong = next(service.wrong(seen), None)
        if wrong is not None:
            return await Reply(service.error(400, "invalid", f"refused: {wrong}"), 400).send(request)
        return await answer.send(request)

    return handle


@asynccontextmanager
async def opened(service: Service, url: str, *, env: Mapping[str, str] = ENV, **spec: Any) -> AsyncIterator[Hosted]:
    model = service.build(spec_of(service, url, **spec), env)
    await model.open()
    try:
        yield model
    finally:
        await model.close()
