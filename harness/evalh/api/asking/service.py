"""The prompts of a workspace as a program asks them: which version, which model, loaded once."""

import asyncio
import os
import secrets
import threading
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from evalh.api.asking.background import background
from evalh.api.asking.earlier import EarlierAnswers
from evalh.api.content import KeptContent
from evalh.api.event_loop import SystemClock
from evalh.api.parts import Parts
from evalh.api.production import folder_of
from evalh.core.asking import Reply
from evalh.core.errors import NotFound, UsageError, one_of
from evalh.core.ports import Cases
from evalh.core.prompt import DRAFT, PromptRef, PromptVersion
from evalh.core.strict_json import JsonValue
from evalh.core.suite import Suite
from evalh.engine.asking.ask_log import AskLog, AskRequest, Inside
from evalh.engine.asking.service import Asks, AskService, Terms, streamed
from evalh.engine.plan import Plan
from evalh.engine.session import Doors
from evalh.pipeline.step import Step
from evalh.store.production_file import ProductionFile
from evalh.workspace.prompt.media import media_from
from evalh.workspace.prompt.templates import compile_version
from evalh_trace.spans import CURRENT
from evalh_trace.tracer import TRACER

if TYPE_CHECKING:
    from evalh.core.request import Request

_MARK_BYTES = 200  # of the tracer's queue

_Named: TypeAlias = tuple[str, str | None, str | None, bool]
"""A prompt, its version, its model, and whether it is streamed."""


class WorkspaceService:
    """All that a program asks of one workspace. Files are read when a prompt is first asked, and not again."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        kept = KeptContent(parts)  # where content is off, the log of asks makes records without any
        self._file = ProductionFile(folder_of(parts), kept.kept if kept.on else lambda record: record)
        self._clock = SystemClock()
        self._earlier = EarlierAnswers(parts, kept, self._clock)
        log = AskLog(self._file.write, self._clock, content=kept.on, process=self._file.process)
        log.earlier = self._earlier.find
        self._service = AskService(
            log=log,
            clock=self._clock,
            prices=parts.prices,
            routes=parts.config.routes,
            resolve=parts.targets.resolve,
            build_checks=parts.targets.build_checks,
            env=parts.env,
        )
        self._asks: dict[_Named, Asks] = {}
        self._lock = threading.Lock()
        self._doors = Doors()
        self._opened: set[int] = set()
        self._opening: asyncio.Lock | None = None
        self._resources = AsyncExitStack()
        background().at_close(self._close, self._file.close)

    async def _close(self) -> None:
        await self._resources.aclose()
        self._earlier.close()

    # -- what is asked

    def loaded(self, named: _Named) -> Asks | None:
        """Return what was asked before; None: its files are to be read."""
        return self._asks.get(named)

    def load(self, named: _Named) -> Asks:
        """Read a prompt or pipeline and make it ready. Raises EvalhError."""
        with self._lock:
            found = self._asks.get(named)
            if found is None:
                found = self._asks[named] = self._load(*named)
            return found

    def _load(self, name: str, version: str | None, model: str | None, stream: bool) -> Asks:  # noqa: FBT001 (a key's parts)
        found = live_version(self.parts, name, version)
        if found.pipeline is not None:
            if stream:
                what = (
                    f"{found.label} cannot be streamed: it is a pipeline, whose steps read each other's whole outputs"
                )
                raise UsageError(what, hint="evalh.ask waits for the whole answer")
            return self._service.pipeline(found, self._plan(found, model))
        chosen, where = self._model_of(found, model)
        targets = self.parts.targets
        target = targets.target_for(chosen, found, where)
        if stream:
            target = streamed(found, target)
        template = compile_version(found, media=partial(media_from, self.parts.judged))
        judges = targets.asked(target, targets.checks_of(target))
        return self._service.prompt(found, Step(template, target.settings()), target, judges)

    def _model_of(self, version: PromptVersion, model: str | None) -> tuple[str, str | None]:
        """Return the model to ask, and where it is named: as in a run, the suites' before the prompt's own."""
        if model is not None:
            return model, None
        suites = [suite for suite in map(self.parts.suite, self.parts.suites()) if suite.prompt == version.name]
        named = {suite.model: suite.where_of("model") for suite in suites if suite.model is not None}
        if len(named) == 1:
            return next(iter(named.items()))
        if version.model is not None:
            return version.model, version.path
        known = sorted(named) or [*self.parts.config.models, *self.parts.config.routes]
        why = "its suites name several" if named else "neither its suites nor its file name one"
        raise UsageError(f"which model? {version.label}: {why}", hint=one_of("model={}", known, repr))

    def _plan(self, version: PromptVersion, model: str | None) -> Plan:
        from evalh.api.pipelines import Choice, Planner

        parts, targets = self.parts, self.parts.targets
        suites = [suite for suite in map(parts.suite, parts.suites()) if suite.prompt == version.name]
        named = {suite.model for suite in suites if suite.model is not None}
        stand_in = Suite(
            name=version.name,
            prompt=version.name,
            dataset="",
            graders=(),
            model=next(iter(named)) if len(named) == 1 else None,
            where=version.path,
        )
        planner = Planner(parts, stand_in, version, Choice(model=model, effects=True))
        main, where = planner.main_model()
        target = targets.target_for(main, version, where)
        return Plan(
            suite=stand_in,
            version=version,
            target=target,
            step=None,
            pipeline=planner.planned(),
            graders=(),
            cases=cast("Cases", ()),
            trials=1,
            resolve=targets.resolve,
            build_checks=targets.build_checks,
            find_asked=targets.asked,
            checks=targets.checks_of(target),
        )

    # -- one ask

    def request(
        self, asks: Asks, inputs: Mapping[str, JsonValue], given: Mapping[str, JsonValue] | None, **more: Any
    ) -> AskRequest:
        """Return an ask with an id of its own; `more` are further fields of it."""
        span = CURRENT.get()  # an ask is made in the context of the one who asks
        inside = None if span is None else Inside(span.workflow_id, None if span.workflow else span.record_id)
        return AskRequest(
            inside=inside,
            id=f"a{int(self._clock.now() * 1000):x}-{secrets.token_hex(5)}",
            version=asks.version.label,
            prompt=asks.version.name,
            inputs=dict(inputs),
            given=dict(given or {}),
            **more,
        )

    async def ask(self, asks: Asks, asked: AskRequest, prepared: "Request | None", terms: Terms) -> Reply:
        """Ask, on the background loop. Raises AskError, and EvalhError where a model cannot be opened."""
        if id(asks) not in self._opened:
            await self._open(asks)
        if asked.reuse:
            await self._earlier.look()
        failed = True
        try:
            reply = await self._service.ask(asks, asked, prepared, terms)
            failed = reply.default is not None
            return reply
        finally:
            if failed and asked.inside is not None:  # a failed step: the sample may keep its workflow in any case
                TRACER.put("mark", (asked.workflow_id, "error"), _MARK_BYTES, counted=False)

    async def _open(self, asks: Asks) -> None:
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            if id(asks) not in self._opened:
                await self._resources.enter_async_context(self._doors.open([*asks.targets, *asks.judges]))
                self._opened.add(id(asks))

    def flush(self) -> None:
        """Wait until what was logged is in the file, two seconds at most."""
        self._file.flush()


def live_version(parts: Parts, name: str, version: str | None) -> PromptVersion:
    """Load the version of a prompt that is in use, or the one that is named. Raises EvalhError."""
    ref = PromptRef.parse(name)
    if ref.name is None:
        raise UsageError(f"{name!r} names no prompt", hint='evalh.ask("triage", …), evalh.ask("triage@v3", …)')
    if ref.version is not None and version is not None and ref.version != version:
        raise UsageError(f"{name!r} and version={version!r} name two versions")
    prompts = parts.prompts(ref.revision)
    wanted = ref.version or version or prompts.live(ref.name)
    if wanted is None:
        hint = f"evalh prompt release {quote(str(ref.name))}; or version={DRAFT!r}, to try it"
        raise NotFound(f"prompt {ref.name!r} has no version yet, only a draft", hint=hint)
    return prompts.load(ref.name, wanted)


_lock = threading.Lock()
_services: dict[str, WorkspaceService] = {}


def service_of(workspace: str | Path | None) -> WorkspaceService:
    """Return the service of a workspace: the one named, EVALH_WORKSPACE's, or the one around the current folder.

    Raises WorkspaceError.
    """
    named = str(workspace) if workspace is not None else os.environ.get("EVALH_WORKSPACE") or os.getcwd()  # noqa: PTH109 (a key, on the way of every call)
    found = _services.get(named)
    if found is not None:
        return found
    with _lock:
        if named not in _services:
            parts = Parts.open(named)
            same = next((one for one in _services.values() if one.parts.root == parts.root), None)
            _services[named] = same or WorkspaceService(parts)
        return _services[named]


def _start_again() -> None:
    global _lock  # noqa: PLW0603 (a forked child has services of its own)
    _services.clear()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_again)
