"""What the wires share in reading an answer: how it is put together, who gave it, and what it says of its tokens.

Text, tool calls and the finish reason decide, and are read strictly. Everything else is read field by field: what
cannot be read is unknown, and costs no answer. Counts are believed only where they do not contradict themselves.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from msgspec import Raw, field

from evalh.core.attempt import MOST_TOKENS, FinishReason, Logprobs, Usage
from evalh.core.request import ToolCall
from evalh.core.values import Value
from evalh.providers.repaired_json import RepairedJson

NOTHING = Raw(b"")
"""A field that an answer lacks."""


class Reading(Value, kw_only=True):
    """What an answer's body says."""

    text: str
    finish: FinishReason
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = field(default_factory=Usage)
    model: str | None = None
    id: str | None = None
    logprobs: Logprobs | None = None
    reasoning: str = ""  # what the server parted from the answer


class Assembler(ABC):
    """Puts one answer together, whole or from its events. Each API's own says what its JSON holds."""

    def __init__(self) -> None:
        self._json = RepairedJson()
        self._ended = False  # what comes now is not looked at
        self._usage: Any = None
        self._model: str | None = None
        self._id: str | None = None

    @property
    @abstractmethod
    def started(self) -> bool:
        """Whether the model has said anything yet that belongs to its answer."""

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether the answer is whole, though more may come beside it."""

    def take_whole(self, body: bytes) -> None:
        """Take an answer that was not streamed. Raises ValueError for what cannot be read."""
        self._take(body)

    def add(self, event: bytes) -> None:
        """Take one event. Raises ValueError for an error event and for what is not one; after the end, nothing."""
        if self._ended:
            return
        try:
            self._take(event)
        except (ValueError, RecursionError):
            if not self.finished:  # what cannot be read beside a whole answer costs no answer
                raise

    @abstractmethod
    def _take(self, event: bytes) -> None: ...

    @abstractmethod
    def reading(self) -> Reading:
        """Return the whole answer. Raises ValueError where the stream ended before it."""

    def so_far(self) -> str:
        """Return the answer's text as far as it has come; "" where that cannot be said before the end."""
        return "" if self._json.mended else "".join(self._pieces_so_far())

    def _pieces_so_far(self) -> Iterable[str]:
        return ()

    def _describe(self, model: object, id_: object) -> None:
        self._model = model if isinstance(model, str) and model else self._model
        self._id = id_of(id_) or self._id

    def _reading(
        self,
        text: str,
        finish: FinishReason,
        calls: Iterable[ToolCall],
        usage: Usage,
        *,
        logprobs: Logprobs | None = None,
        reasoning: str = "",
    ) -> Reading:
        """Return what was gathered, its texts as they read once all their pieces are there."""
        whole = self._json.text
        return Reading(
            text=whole(text),
            finish=finish,
            tool_calls=tuple(ToolCall(whole(call.id), whole(call.name), whole(call.arguments)) for call in calls),
            usage=usage,
            model=self._model and whole(self._model),
            id=self._id and whole(self._id),
            logprobs=logprobs,
            reasoning=whole(reasoning),
        )


def id_of(value: object) -> str | None:
    """Read an id: some servers number theirs. None where it is not one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def finish_of(reasons: Mapping[str, FinishReason], reason: str | None, *, called: bool) -> FinishReason:
    """Read an API's finish reason. `called`: the answer holds tool calls, and a forced one ends like any answer."""
    finish = reasons.get(reason or "", FinishReason.OTHER)
    return FinishReason.TOOL_CALLS if called and finish is FinishReason.STOP else finish


def arguments_of(raw: Raw) -> str:
    """Return arguments that are sent as an object, as the model wrote them."""
    text = bytes(raw).decode("utf-8", "replace")
    return "{}" if text in {"", "null"} else text


class _Placed(Protocol):
    index: int | None


_P = TypeVar("_P", bound=_Placed)


def in_order(parts: Sequence[_P]) -> Sequence[_P]:
    """Sort parts by their index; as they came where one has none. Those that share an index keep their order too."""
    placed = [(part.index, number, part) for number, part in enumerate(parts) if part.index is not None]
    return [part for *_, part in sorted(placed, key=lambda one: one[:2])] if len(placed) == len(parts) else parts


def count(value: object) -> int | None:
    """Read a number of tokens; None for what is not a whole number that can be."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None


def added(*values: object) -> int | None:
    """Add up counts, where what is left out is 0; None if one of them cannot be read."""
    counts = [0 if value is None else count(value) for value in values]
    known = [one for one in counts if one is not None]
    return sum(known) if len(known) == len(counts) else None


def name_of_tier(value: object) -> str | None:
    """Read the name of a service tier, a speed or a region, as the price table writes it."""
    return value.lower().removeprefix("service_tier_") if isinstance(value, str) else None


def usage_of(parts: Usage, total: object = None, *, said: bool = True) -> Usage:
    """Return the usage, checked as a whole: unknown where it contradicts itself, since half of it would read as cheap.

    Where the total says more than the parts the rest is output: some servers count reasoning nowhere else. `said`:
    something was written, which takes tokens.
    """
    whole = count(total)
    if whole is None and isinstance(total, int | float):
        return Usage()  # a total that cannot be
    known_in, known_out = parts.input_tokens, parts.output_tokens
    if whole is not None and known_in is not None and known_out is not None:
        if whole < known_in + known_out:
            return Usage()
        if whole > known_in + known_out:
            parts = replace(parts, output_tokens=whole - known_in)
    nothing = known_in == 0 or (said and parts.output_tokens == 0)
    return Usage() if nothing or not parts.sound else parts
