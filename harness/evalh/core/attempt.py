"""Calls and attempts: requests, answers, errors, latencies, and the decisions between them.

A call's latency has one definition for the log, reports, comparisons, the gate and spans. It runs from the moment the
call may start to the answer that counted: every attempt, every wait at a limit and between attempts, every check. Waits
for our own concurrency (a place among the calls in flight, a budget that others had reserved, a log that was locked)
are left out: they say how busy we were, not how fast the answer is. It is the sum of its parts, so an answer from the
log or a recording counts with the time it took when it was asked.
"""

import dataclasses
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import IntEnum, StrEnum

from msgspec import Struct, field

from evalh.core.case import Case
from evalh.core.digest import digest, digest_bytes
from evalh.core.request import Request, ToolCall
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value


class Decision(Value, kw_only=True):
    """One decision between the calls, with its reason and its subject.

    `kind` is a word of the route: retry, give_up, fits, repair, unrepaired, fallback, keep, escalate, open, probe,
    close, shrink.
    """

    run_id: str
    kind: str
    reason: str
    at: float  # seconds since the epoch, UTC
    call_id: str | None = None
    detail: Mapping[str, JsonValue] = field(default_factory=dict)


class Latency(Value):
    """A latency by its parts, in milliseconds. Without waits and checks it is that of the only attempt."""

    attempts_ms: float | None = 0.0  # in flight, failed attempts too; None: a recording does not say
    waited_ms: float | None = 0.0  # at limits and between attempts; None: an older log's, see `whole`
    checks_ms: float | None = 0.0  # of a route's checks, with what they asked

    @property
    def total_ms(self) -> float | None:
        """The sum; None if unknown. If it is not `whole`, the last attempt alone."""
        if self.attempts_ms is None:
            return None
        # To a nanosecond: the sum of the stored parts must be the same number.
        return round(self.attempts_ms + (self.waited_ms or 0.0) + (self.checks_ms or 0.0), 6)

    @property
    def whole(self) -> bool:
        """Whether all parts are known. Logs before schema 9 hold only the last attempt: a different quantity."""
        return self.waited_ms is not None and self.checks_ms is not None

    def plus(self, other: "Latency") -> "Latency":
        """Return the sum of both, part by part."""
        return Latency(
            _plus(self.attempts_ms, other.attempts_ms),
            _plus(self.waited_ms, other.waited_ms),
            _plus(self.checks_ms, other.checks_ms),
        )


NOT_KNOWN = Latency(None, None, None)


def latency_of(total_ms: float | None, waited_ms: float | None, checks_ms: float | None) -> Latency:
    """Restore a latency from a stored total and two of its parts."""
    attempts_ms = None if total_ms is None else total_ms - (waited_ms or 0.0) - (checks_ms or 0.0)
    return Latency(attempts_ms, waited_ms, checks_ms)


def _plus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


class ErrorKind(StrEnum):
    """Why an attempt gave no answer. The provider that saw the error classifies it, once."""

    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"  # out of credit: waiting does not help
    OVERLOAD = "overload"
    TIMEOUT = "timeout"
    NETWORK = "network"
    BAD_RESPONSE = "bad_response"  # truncated, not JSON, HTML with 200, no choices, over the size cap
    BAD_REQUEST = "bad_request"
    AUTH = "auth"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    UNSUPPORTED = "unsupported"  # the provider cannot carry a part of this request; nothing was sent
    NOT_RECORDED = "not_recorded"  # a recording has no row for this call
    BUDGET = "budget"  # another attempt would exceed what one case may cost; nothing was sent
    BREAKER_OPEN = "breaker_open"  # the provider is being left alone; nothing was sent
    STEP_ERROR = "step_error"  # a pipeline's function raised, or what it gave is not JSON
    INTERRUPTED = "interrupted"  # we stopped waiting: Ctrl-C, kill, a run that ended early


FATAL_KINDS = frozenset({ErrorKind.AUTH, ErrorKind.QUOTA})
"""Kinds that every further call of the run would meet too: the run stops early, and its results are kept."""


MAYBE_BILLED = frozenset({ErrorKind.TIMEOUT, ErrorKind.NETWORK, ErrorKind.BAD_RESPONSE, ErrorKind.INTERRUPTED})
"""Kinds after which the provider may have charged, although nothing usable came back."""


UNSENT = frozenset({ErrorKind.UNSUPPORTED, ErrorKind.NOT_RECORDED, ErrorKind.BUDGET, ErrorKind.BREAKER_OPEN})
"""Kinds for which nothing was sent: they say nothing about the provider."""


class CallError(Exception):
    """One failed attempt. It is data, not a message to the user, and never contains a key."""

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        request_id: str | None = None,
        begun: bool = False,
    ) -> None:
        super().__init__(f"{kind.value}: {message}")
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.begun = begun  # an answer had begun to arrive: a stream that broke off
        self.reached = True  # False: there was no connection, so nothing is charged; the transports say so
        self.hung_up = (
            False  # an idle connection was closed before a byte of an answer: likely before it read the request
        )
        self.key_renewed = False  # the key was refused, and the next attempt has a newer one
        self.held_back = kind in UNSENT  # nothing was sent; also if our own limit on the model refuses
        self.ends_run = kind in FATAL_KINDS  # a fallback takes it back while another of its models is well

    @property
    def maybe_billed(self) -> bool:
        """Whether the provider may charge for what failed."""
        return self.reached and (self.begun or self.kind in MAYBE_BILLED)


class NotSent(Exception):
    """The run is ending: this call's next request was not sent, and its sample is not evaluated."""


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    OTHER = "other"


MOST_TOKENS = 10**9
"""No request takes more tokens; a larger number is not a count."""


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; None: it did not say. Only prices use the fields after them."""

    input_tokens: int | None = None  # all of them, cached ones included
    output_tokens: int | None = None  # all of them, reasoning included
    cached_tokens: int | None = None  # of the input, read from the provider's cache
    reasoning_tokens: int | None = None  # of the output, not shown
    cache_write_tokens: int = 0  # of the input, written to the provider's cache
    cache_write_1h_tokens: int = 0  # of those, kept for an hour
    tier: str | None = dataclasses.field(default=None, compare=False)  # the tier that served; None: it did not say
    speed: str | None = dataclasses.field(default=None, compare=False)  # the speed that served
    region: str | None = dataclasses.field(default=None, compare=False)  # where it served

    @property
    def sound(self) -> bool:
        """Whether the counts are possible: whole numbers, none below 0, no part above its whole."""
        taken, given = self.input_tokens, self.output_tokens
        cached, reasoned = self.cached_tokens or 0, self.reasoning_tokens or 0
        written = self.cache_write_tokens
        for one in (taken or 0, given or 0, cached, reasoned, written, self.cache_write_1h_tokens):
            if type(one) is not int or not 0 <= one <= MOST_TOKENS:
                return False
        return (
            (taken is None or cached + written <= taken)
            and (given is None or reasoned <= given)
            and self.cache_write_1h_tokens <= written
        )


class Logprobs(Value):
    """The probabilities that the model gave its own tokens: natural logarithms, never above 0."""

    mean: float
    least: float | None = None  # the least likely token's; None: not said
    count: int | None = None  # tokens; None: not said


class Completion(Value, kw_only=True):
    """One answer of a model. Filtered, refused and truncated answers are answers too: see `finish`."""

    text: str
    finish: FinishReason = FinishReason.STOP
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    latency_ms: float | None = None  # None: a recording that does not say
    ttft_ms: float | None = None  # time to first token; None: not streamed
    model: str | None = None  # the model's name as it answered
    request_id: str | None = None
    cost_usd: Decimal | None = None  # set by a recording; otherwise the routing stack prices the usage
    logprobs: Logprobs | None = None  # None: not asked for, or not given
    reasoning: str | None = None  # reasoning before the answer, without its tags; None: not looked for
    raw: str | None = None  # the body as received, for the log

    def digest(self) -> str:
        """Return the digest of the answer: its text, and its tool calls if there are any."""
        if not self.tool_calls:
            return digest_bytes(self.text.encode("utf-8", "surrogatepass"))
        return digest([self.text, [[call.id, call.name, call.arguments] for call in self.tool_calls]])


class Purpose(StrEnum):
    """What a call was made for."""

    TASK = "task"
    JUDGE = "judge"
    CRITIQUE = "critique"
    EMBEDDING = "embedding"  # vectors of texts, to compare them
    FUNCTION = "function"  # a pipeline's step that is a function, and whose results are kept
    SAMPLE = "sample"  # the task's request once more, to see whether the answers agree


CONFIRM_DRAW = 1000
"""The draw of answers that confirm a flip; no grader and no critic uses it."""

BLAME_DRAW = 2000
"""The draw of answers that show which step loses a case: apart from the answers that lost it."""

_DATED_DRAW = 1_000_000
_DRAWS_A_DAY = 4


class Dated(IntEnum):
    """Draws that are valid for one day only: whether a model has changed is a question of today."""

    CANARY = 0
    AGAIN = 1  # a side whose logged answers no longer count
    CONFIRM = 2

    def draw(self, now: float) -> int:
        """Return the draw of a day, UTC: a second request on the same day is answered by the log."""
        return _DATED_DRAW + _DRAWS_A_DAY * int(now // 86_400) + self


class CallKey(Value):
    """An answer's key. With the request's digest it finds an answer, for the log and for comparisons.

    `draw` 0 is the answer; 1, 2, … are samples, critics, confirmations, canaries.
    """

    case_id: str
    trial: int = 0
    step: str | None = None
    draw: int = 0


class Call(Struct, kw_only=True):
    """One logical request. `id` is unique over all stores: `<run>:<number>`."""

    id: str
    run_id: str
    key: CallKey
    request: Request
    case: Case | None = None  # for checks inside a route, which do not see its `expected`
    purpose: Purpose = Purpose.TASK
    attempts: int = 0  # begun so far
    cost_usd: Decimal | None = Decimal(0)  # all attempts, failed ones included; None if unknown
    cached_cost_usd: Decimal | None = Decimal(0)  # what the log's answers cost when they were bought
    latency: Latency = field(default_factory=Latency)  # so far
    waiting_ms: float = 0.0  # since the last attempt ended: for rates, pauses, and between attempts
    counted_usd: Decimal = Decimal(0)  # counted by the budget so far; unknown costs at their worst case
    answered_by: str | None = None  # the attempt that holds the answer
    answered_model: str | None = None  # the model that gave it, by its name in the workspace
    part_of: "Call | None" = None  # the call whose answer this one checks inside a route: one case pays for both
    asked: "dict[tuple[str, int], Answer]" = field(default_factory=dict)  # about it, by graders and checks
    route: str | None = None  # the route that chose who answers; None: a model was asked directly
    asked_as: str | None = None  # the model or route that was asked: whose budget of a day pays
    on_text: Callable[[str], None] | None = None  # is handed the answer's text while it arrives; None: nobody waits
    handed_on: bool = False  # whether a part of the answer was handed on: another answer would contradict it
    counted: bool = False  # whether the run's retry budget has counted this call
    still_wanted: Callable[[], None] | None = None  # asked as a request leaves, after its wait; raises CallError
    max_wait_s: float | None = None  # longest wait for a model that asks us to wait; None: no limit
    backoff_s: tuple[float, float] | None = None  # of a rate limit without a wait: at first, at most; None: a failure
    patience_s: float | None = None  # timeout of one attempt; None: the provider's own
    reasons: list[str] = field(default_factory=list)  # why each further attempt was made


class AttemptStart(Value, kw_only=True):
    """One physical request, as it is sent."""

    id: str  # `<call>.<number>`
    call: Call
    request: Request  # as sent: a route may send another one than the call's
    number: int  # from 1
    model: str  # the name in the workspace: "small"
    provider: str
    started_at: float  # seconds since the epoch, UTC
    reason: str = "first"  # first, retry, repair, fallback or escalation
    waited_ms: float = 0.0  # before it left: at limits, and after the attempt before it


class AttemptEnd(Value, kw_only=True):
    """The end of a physical request: either an answer or an error."""

    start: AttemptStart
    latency_ms: float
    completion: Completion | None = None
    error: CallError | None = None
    cost_usd: Decimal | None = None
    estimated: bool = False  # sent but not answered: the cost is the reserved amount


class Answer(Value):
    """A stored answer, with the cost and time of all attempts of the call that bought it."""

    attempt_id: str
    completion: Completion
    cost_usd: Decimal | None
    model: str | None = None  # the model that gave it, by its name in the workspace then
    latency: Latency = NOT_KNOWN
