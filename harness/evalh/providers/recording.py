"""`provider = "replay"`: answers from a recording, word for word. Nothing is sent, and nothing is slept.

A recording is JSON Lines of answers, found by case id, trial, step and draw. The rows stay bytes in an unnamed
temporary file that the system may page out; 16 bytes a row say where each lies.
"""

import gzip
import json
import mmap
import string
import tempfile
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from io import BytesIO
from itertools import groupby
from shlex import quote
from typing import IO, Annotated, TypeAlias

import msgspec
from pydantic import Field

from evalh.core.attempt import Call, CallError, CallKey, Completion, ErrorKind, FinishReason, Logprobs, Usage
from evalh.core.declared import FileModel, Text, Words
from evalh.core.errors import NotFound, WorkspaceError, did_you_mean
from evalh.core.model import ModelSpec, Traits
from evalh.core.ports import Tree
from evalh.core.request import Request, ToolCall, content_digest
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.providers.registry import ProviderContext, SpecifiedProvider, read_options

TRAITS = Traits(hosted=False, recorded=True, per_version=True)

_FINISHES = {str(reason): reason for reason in FinishReason}
_CHUNK = 1 << 20
_BOM = b"\xef\xbb\xbf"

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Logprob: TypeAlias = Annotated[float, msgspec.Meta(le=0)]


class RecordedUsage(msgspec.Struct, frozen=True):
    """Tokens, as far as the recording counts them."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cached_tokens: Count | None = None
    reasoning_tokens: Count | None = None


class RecordedToolCall(msgspec.Struct, frozen=True):
    """A tool that the model asked for; `arguments` is JSON text, or the JSON itself."""

    id: str
    name: str
    arguments: JsonValue


class RecordedRow(msgspec.Struct, frozen=True):
    """One answer. Only `id` and `output` are required; keys that are not named here are ignored."""

    id: str
    output: str
    trial: Count = 0
    step: str | None = None
    draw: Count = 0
    usage: RecordedUsage | None = None
    latency_ms: Annotated[float, msgspec.Meta(ge=0)] | None = None
    cost_usd: Decimal | None = None
    finish: str | None = None
    tool_calls: list[RecordedToolCall] | None = None
    model: str | None = None
    request: str | None = None
    mean_logprob: Logprob | None = None
    min_logprob: Logprob | None = None
    logprob_tokens: Count | None = None
    reasoning: str | None = None

    @property
    def key(self) -> CallKey:
        return CallKey(self.id, self.trial, self.step, self.draw)


_decode_fast = msgspec.json.Decoder(RecordedRow).decode


class Recording:
    """The rows of one recording. Raises WorkspaceError for a file that is none, naming the line."""

    def __init__(self, path: str, raw: bytes) -> None:
        self.path = path
        with tempfile.TemporaryFile() as file:
            self.digest = _unpack(path, raw, file)
            if not file.tell():
                raise _empty(path)
            file.flush()
            self._rows = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._hashes = array("q")
        self._offsets = array("Q")
        self.names_requests = True  # every row
        self._index()
        if not len(self):
            raise _empty(path)

    def __len__(self) -> int:
        return len(self._offsets)

    def find(self, key: CallKey) -> Iterator[RecordedRow]:
        """Yield the rows of this call: several only where each names its request, as those of a loop in a function."""
        wanted = hash(key)
        place = bisect_left(self._hashes, wanted)
        while place < len(self) and self._hashes[place] == wanted:
            row = _decode(self._line_at(self._offsets[place]))
            if row.key == key:
                yield row
            place += 1

    def close(self) -> None:
        self._rows.close()

    def _index(self) -> None:
        hashes, offsets = array("q"), array("Q")
        for number, (offset, line) in enumerate(self._lines(), start=1):
            if not line.strip():
                continue
            try:
                row = _decode(line)
            except (msgspec.ValidationError, NotStrictJson) as exc:
                what = exc.in_line if isinstance(exc, NotStrictJson) else exc
                raise WorkspaceError(f"not a row of a recording: {what}", where=f"{self.path}:{number}") from None
            except UnicodeDecodeError:
                raise WorkspaceError("not UTF-8", where=f"{self.path}:{number}") from None
            if row.cost_usd is not None and not (row.cost_usd.is_finite() and row.cost_usd >= 0):
                raise WorkspaceError(f"'cost_usd' is {row.cost_usd}: not an amount", where=f"{self.path}:{number}")
            hashes.append(hash(row.key))
            offsets.append(offset)
            self.names_requests = self.names_requests and row.request is not None
        # Sorted by hash, a lookup is a bisection: Python's dict would take 100 bytes a row and more.
        order = sorted(range(len(hashes)), key=hashes.__getitem__)
        self._hashes = array("q", (hashes[place] for place in order))
        self._offsets = array("Q", (offsets[place] for place in order))
        for _, places in groupby(range(len(self)), self._hashes.__getitem__):
            first, *others = places
            if others:
                self._refuse_duplicates([self._offsets[place] for place in (first, *others)])

    def _refuse_duplicates(self, offsets: list[int]) -> None:
        """Refuse two rows of one key among rows that share a hash; the later one is named as the place."""
        seen: dict[CallKey, dict[str | None, int]] = {}
        for offset in sorted(offsets):
            row = _decode(self._line_at(offset))
            others = seen.setdefault(row.key, {})
            any_other = next(iter(others.values()), None)
            same = any_other if row.request is None else others.get(row.request, others.get(None))
            if same is not None:
                first, second = (1 + self._rows[:at].count(b"\n") for at in (same, offset))
                raise WorkspaceError(
                    f"{describe(row.key)} is recorded twice: on lines {first} and {second}",
                    where=f"{self.path}:{second}",
                    hint="remove one of the two rows, or give them different trials",
                )
            others[row.request] = offset

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        offset = len(_BOM) if self._rows[: len(_BOM)] == _BOM else 0
        while offset < len(self._rows):
            line = self._line_at(offset)
            yield offset, line
            offset += len(line)

    def _line_at(self, offset: int) -> bytes:
        end = self._rows.find(b"\n", offset)
        return self._rows[offset : end + 1 if end >= 0 else len(self._rows)]


def _decode(line: bytes) -> RecordedRow:
    """Read one row. Raises ValidationError, NotStrictJson, UnicodeDecodeError."""
    try:
        return _decode_fast(line)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Models do write half a surrogate pair, and msgspec refuses it; otherwise this names what is wrong better.
        return msgspec.convert(parse(line.decode("utf-8").rstrip()), RecordedRow)


def _empty(path: str) -> WorkspaceError:
    return WorkspaceError("the recording is empty", where=path, hint='a row is {"id": "t-001", "output": "…"}')


def describe(key: CallKey) -> str:
    """Name a call as a person would: case 't-001', and what differs from the plain case."""
    parts = [f"case {key.case_id!r}"]
    if key.trial:
        parts.append(f"trial {key.trial}")
    if key.step is not None:
        parts.append(f"step {key.step!r}")
    if key.draw:
        parts.append(f"draw {key.draw}")
    return ", ".join(parts)


def _unpack(path: str, raw: bytes, file: IO[bytes]) -> str:
    """Write the plain rows; return their digest. A gzipped recording is the same recording."""
    state = sha256()
    try:
        with gzip.open(BytesIO(raw)) if path.endswith(".gz") else BytesIO(raw) as source:
            while chunk := source.read(_CHUNK):
                state.update(chunk)
                file.write(chunk)
    except (OSError, EOFError, zlib.error) as exc:
        raise WorkspaceError(f"cannot be unpacked: {exc}", where=path) from exc
    return f"sha256:{state.hexdigest()}"


class Options(FileModel):
    """The keys of a recording."""

    path: Annotated[Text, Words(hint='path = "recorded/{version}.jsonl"')] = Field(
        description="The file. `{version}`, `{prompt}` and `{model}` are replaced."
    )


class ReplayProvider(SpecifiedProvider):
    """One recording. A case without a row is NOT_RECORDED: it could not be measured, it is not bad."""

    def __init__(self, spec: ModelSpec, tree: Tree, path: str) -> None:
        super().__init__(spec)
        self._tree = tree
        self._path = path

    @cached_property
    def identity(self) -> Mapping[str, JsonValue]:
        """The recording's digest: of its rows, whether gzipped or not. Raises NotFound, WorkspaceError."""
        return {"provider": self.kind, "recording": self._recording.digest}

    @property
    def answers_any_prompt(self) -> str | None:
        """The recording, if its rows answer whatever the prompt says: they do not name their requests."""
        return None if self._recording.names_requests else self._path

    async def open(self) -> None:
        _ = self._recording

    async def close(self) -> None:
        """Let the recording go; a later call reads it again."""
        self.__dict__.pop("identity", None)
        recording = self.__dict__.pop("_recording", None)
        if isinstance(recording, Recording):
            recording.close()

    async def send(self, request: Request, call: Call) -> Completion:
        """Return the recorded answer. Raises CallError(NOT_RECORDED)."""
        rows = tuple(self._recording.find(call.key))
        if not rows:
            raise CallError(ErrorKind.NOT_RECORDED, f"{self._path} has no row for {describe(call.key)}")
        asked = content_digest(request.settings.document(), [message.document() for message in request.messages])
        fitting = (row for row in rows if row.request in (None, asked, request.digest()))
        if (row := next(fitting, None)) is None:
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
                hint=f"make one from a run: evalh export recorded RUN -o {quote(self._path)}",
            ) from None
        return Recording(self._path, raw)


def build(spec: ModelSpec, context: ProviderContext) -> ReplayProvider:
    """Build from `path`, its `{version}`, `{prompt}` and `{model}` filled in. Raises WorkspaceError."""
    pattern = read_options(spec, Options).path
    known = {"prompt": context.prompt, "version": context.version, "model": spec.model}
    return ReplayProvider(spec, context.tree, _filled(spec, pattern, known))


def _filled(spec: ModelSpec, pattern: str, known: Mapping[str, str | None]) -> str:
    path = ""
    try:
        pieces = list(string.Formatter().parse(pattern))
    except ValueError as exc:
        raise spec.wrong(f"path {pattern!r}: {exc}", "write a brace twice: {{") from None
    for literal, name, form, conversion in pieces:
        path += literal
        if name is None:
            continue
        if name not in known or form or conversion:
            raise spec.wrong(f"path {pattern!r}: nothing fills {{{name}}}", did_you_mean(name, known))
        value = known[name]
        if value is None:
            what = f"path {pattern!r} needs a {name}, and this model is asked outside a prompt version"
            raise spec.wrong(what, f"write the path without {{{name}}}")
        path += value
    return path


def _completion(row: RecordedRow) -> Completion:
    usage = row.usage
    return Completion(
        reasoning=row.reasoning,
        text=row.output,
        finish=_FINISHES.get(row.finish or FinishReason.STOP, FinishReason.OTHER),
        tool_calls=tuple(_tool_call(one) for one in row.tool_calls or ()),
        usage=Usage()
        if usage is None
        else Usage(usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens),
        latency_ms=row.latency_ms,
        model=row.model,
        cost_usd=row.cost_usd,
        logprobs=None if row.mean_logprob is None else Logprobs(row.mean_logprob, row.min_logprob, row.logprob_tokens),
    )


def _tool_call(recorded: RecordedToolCall) -> ToolCall:
    arguments = recorded.arguments
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(recorded.id, recorded.name, text)
