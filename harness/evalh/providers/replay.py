"""`provider = "replay"`: answers from a recording, word for word. Nothing is sent, and nothing is slept."""

import json
import string
from collections.abc import Mapping
from functools import cached_property

from evalh.core.attempt import Call, CallError, Completion, ErrorKind, FinishReason, Logprobs, Usage
from evalh.core.digest import JsonValue
from evalh.core.errors import NotFound, WorkspaceError, did_you_mean
from evalh.core.model import ModelSpec
from evalh.core.ports import Tree
from evalh.core.request import Request, ToolCall, content_digest
from evalh.providers.recording import RecordedToolCall, Recording, Row, describe
from evalh.providers.registry import ProviderContext


class ReplayProvider:
    """One recording. A case without a row is NOT_RECORDED: it could not be measured, it is not bad."""

    kind = "replay"
    max_in_flight = None

    def __init__(self, spec: ModelSpec, tree: Tree, path: str) -> None:
        self.spec = spec
        self.name = spec.name
        self.model = spec.model
        self.params = spec.params
        self._tree = tree
        self._path = path

    @cached_property
    def identity(self) -> Mapping[str, JsonValue]:
        """The recording's digest: of its rows, whether gzipped or not. Raises NotFound, WorkspaceError."""
        return {"provider": self.kind, "recording": self._recording.digest}

    async def open(self) -> None:
        """Read the recording. Raises NotFound, WorkspaceError."""
        _ = self._recording

    async def close(self) -> None:
        """Let the recording go; a later call reads it again."""
        self.__dict__.pop("identity", None)
        recording = self.__dict__.pop("_recording", None)
        if isinstance(recording, Recording):
            recording.close()

    async def send(self, request: Request, call: Call) -> Completion:
        """Return the recorded answer. Raises CallError(NOT_RECORDED)."""
        row = self._recording.find(call.key)
        if row is None:
            raise CallError(ErrorKind.NOT_RECORDED, f"{self._path} has no row for {describe(call.key)}")
        if row.request is not None and row.request not in (_asked(request), request.digest()):
            raise CallError(
                ErrorKind.NOT_RECORDED,
                f"{self._path}: {describe(call.key)} was recorded for another prompt, inputs or params",
            )
        return _completion(row)

    @cached_property
    def _recording(self) -> Recording:
        try:
            raw = self._tree.read(self._path)
        except WorkspaceError as exc:  # a path that leaves the workspace
            raise WorkspaceError(exc.what, where=exc.where or self.spec.where or None, hint=exc.hint) from None
        except FileNotFoundError:
            raise NotFound(
                f"model {self.name!r}: no recording {self._path}",
                where=self.spec.where or None,
                hint=f"make one from a run: evalh export recorded RUN -o {self._path}",
            ) from None
        return Recording(self._path, raw)


def _asked(request: Request) -> str:
    return content_digest(request.settings.document(), [message.document() for message in request.messages])


def build(spec: ModelSpec, context: ProviderContext) -> ReplayProvider:
    """Build from `path`, its `{version}`, `{prompt}` and `{model}` filled in. Raises WorkspaceError."""
    pattern = spec.options.get("path")
    if not isinstance(pattern, str) or not pattern:
        raise _wrong(spec, "a replayed model needs a 'path'", 'path = "recorded/{version}.jsonl"')
    known = {"prompt": context.prompt, "version": context.version, "model": spec.model}
    return ReplayProvider(spec, context.tree, _filled(spec, pattern, known))


def _filled(spec: ModelSpec, pattern: str, known: Mapping[str, str | None]) -> str:
    path = ""
    try:
        pieces = list(string.Formatter().parse(pattern))
    except ValueError as exc:
        raise _wrong(spec, f"path {pattern!r}: {exc}", "a brace is written twice: {{") from None
    for literal, name, form, conversion in pieces:
        path += literal
        if name is None:
            continue
        if name not in known or form or conversion:
            raise _wrong(spec, f"path {pattern!r}: nothing fills {{{name}}}", did_you_mean(name, known))
        value = known[name]
        if value is None:
            what = f"path {pattern!r} needs a {name}, and this model is asked outside a prompt version"
            raise _wrong(spec, what, f"write the path without {{{name}}}")
        path += value
    return path


def _wrong(spec: ModelSpec, what: str, hint: str | None = None) -> WorkspaceError:
    return WorkspaceError(f"model {spec.name!r}: {what}", where=spec.where or None, hint=hint)


def _completion(row: Row) -> Completion:
    usage = row.usage
    return Completion(
        reasoning=row.reasoning,
        text=row.output,
        finish=_finish(row),
        tool_calls=tuple(_tool_call(one) for one in row.tool_calls or ()),
        usage=Usage()
        if usage is None
        else Usage(usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens),
        latency_ms=row.latency_ms,
        model=row.model,
        cost_usd=row.cost_usd,
        logprobs=None if row.mean_logprob is None else Logprobs(row.mean_logprob, row.min_logprob, row.logprob_tokens),
    )


def _finish(row: Row) -> FinishReason:
    if row.finish is None:
        return FinishReason.STOP
    try:
        return FinishReason(row.finish)
    except ValueError:
        return FinishReason.OTHER


def _tool_call(recorded: RecordedToolCall) -> ToolCall:
    arguments = recorded.arguments
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(recorded.id, recorded.name, text)
