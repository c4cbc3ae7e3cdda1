"""What a baseline's lines hold. The digest tells that nobody edited them; this, that they are what they say."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

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

MEND = "git checkout it, or write it again: evalh baseline accept"
"""What helps against a baseline that is none."""


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
    waited_ms: Milliseconds | None = None  # both are missing in baselines of older versions
    checks_ms: Milliseconds | None = None


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
    waited_ms: Milliseconds | None = None
    checks_ms: Milliseconds | None = None
    logprobs: tuple[Logprob, Logprob | None, Count | None] | None = None


def check_shapes(name: str, header: JsonValue, rows: Sequence[JsonValue], outputs: Sequence[JsonValue]) -> None:
    """Raise WorkspaceError, with the line, where a baseline holds anything but a baseline."""
    _shaped(Header, header, f"{name}:1")
    for number, row in enumerate(rows, 2):
        _shaped(Row, row, f"{name}:{number}")
    for number, output in enumerate(outputs, 1):
        _shaped(Output, output, f"{name}: output {number}")


def _shaped(kind: type[msgspec.Struct], value: JsonValue, where: str) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        raise WorkspaceError(f"is not a baseline: {exc}", where=where, hint=MEND) from None


def check_once(name: str, rows: Sequence[JsonValue], outputs: Sequence[JsonValue]) -> None:
    """Raise WorkspaceError, with the line, where a case has a trial twice: a merge of two branches does that."""
    for lines, first, place in ((rows, 2, f"{name}:"), (outputs, 1, f"{name}: output ")):
        seen: dict[tuple[str, int], int] = {}
        for number, line in enumerate(lines, first):
            match line:
                case {"id": str(case_id), "trial": int(trial)}:
                    before = seen.setdefault((case_id, trial), number)
                    if before != number:
                        what = f"case {case_id!r} has trial {trial} twice: here and in line {before}"
                        raise WorkspaceError(what, where=f"{place}{number}", hint=MEND)
