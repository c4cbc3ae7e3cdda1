"""What a baseline's lines hold. The digest tells that nobody edited them; this, that they are what they say."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from evalh.core.attempt import FinishReason
from evalh.core.digest import JsonValue
from evalh.core.errors import WorkspaceError
from evalh.core.sample import Standing
from evalh.core.verdict import Outcome

Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Trial: TypeAlias = Annotated[int, Meta(ge=0, le=1000)]
Trials: TypeAlias = Annotated[int, Meta(ge=1, le=1000)]
Milliseconds: TypeAlias = Annotated[float, Meta(ge=0, le=1e12)]
Amount: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,40})?([eE](-[0-9]{1,3}|\+[0-9]))?$")]
Logprob: TypeAlias = Annotated[float, Meta(le=0, ge=-1e12)]
T = TypeVar("T")


class Fingerprints(msgspec.Struct):
    """Of the run that was accepted."""

    prompt: str
    dataset: str
    graders: str
    model: str
    route: str


class Summary(msgspec.Struct):
    """Its numbers, for people."""

    good_rate: Annotated[float, Meta(ge=0, le=1)] | None = None


class Header(msgspec.Struct):
    """The first line."""

    suite: Text
    prompt: Text
    model: Text
    fingerprint: Fingerprints
    date: Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    trials: Trials
    answering_models: list[Text] = []
    summary: Summary | None = None
    outputs: bool = False


class Row(msgspec.Struct):
    """One sample."""

    id: str
    trial: Trial
    standing: Standing
    cost_usd: Amount | None
    latency_ms: Milliseconds | None
    output_digest: str | None
    outcomes: dict[str, Outcome]
    row: str
    request: str


class Output(msgspec.Struct):
    """One answer."""

    id: str
    trial: Trial
    step: str | None
    output: str
    finish: FinishReason
    usage: tuple[Count | None, Count | None, Count | None, Count | None]
    latency_ms: Milliseconds | None
    model: str | None
    cost_usd: Amount | None
    request: str
    logprobs: tuple[Logprob, Logprob | None, Count | None] | None = None


def check_shapes(name: str, header: JsonValue, rows: Sequence[JsonValue], outputs: Sequence[JsonValue]) -> None:
    """Raise WorkspaceError, with the line, where a baseline holds anything but a baseline."""
    _shaped(Header, header, f"{name}:1")
    _once(name, [_shaped(Row, row, f"{name}:{number}") for number, row in enumerate(rows, 2)])
    _once(name, [_shaped(Output, row, f"{name}: output {number}") for number, row in enumerate(outputs, 1)])


def _shaped(kind: type[T], value: JsonValue, where: str) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        hint = "git checkout it, or write it anew: evalh baseline accept"
        raise WorkspaceError(f"is no baseline: {exc}", where=where, hint=hint) from None


def _once(name: str, rows: Sequence[Any]) -> None:
    seen: set[tuple[str, int]] = set()
    for row in rows:
        if (row.id, row.trial) in seen:
            what = f"case {row.id!r} has trial {row.trial} twice"
            raise WorkspaceError(what, where=name, hint="write it anew: evalh baseline accept")
        seen.add((row.id, row.trial))
