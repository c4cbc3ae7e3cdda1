"""What a traced program does between its calls, in plain words: retries, fallbacks, and answers that nobody checked.

evalh did not run the program, so it says what the records show, and first what they cannot show.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import chain

from evalh.core.digest import digest
from evalh.core.production import WorkflowDetail, said
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.core.values import Value
from evalh_trace.records import Attempt, Call

_ATTEMPTS = "retries inside the client library: one span covers all of its attempts"
_REQUESTS = "what was asked: content is off, so requests are compared only by their digest"
_SAME_REQUESTS = "what was asked: content is off, so it is unknown whether a request was sent again"
_ANSWERS = "what was answered: content is off, so it is unknown what was checked or passed on"

_ASK = "ask"  # the door of `evalh.ask`
_AT_ONCE_S = 0.5  # a wait that no server can have asked for
_SHORTEST = 16  # characters of an answer that is recognised in a later message
_SHORTEST_JSON = 8  # of one that is an object or a list: `{"n": 7}` does not stand there by chance
_MOST = 200_000  # characters of an answer that are looked for
_MOST_TEXTS = 200  # in the JSON of one answer
_MOST_LATER = 100  # calls after an answer in which it is looked for
_WAITS = frozenset({"rate_limit", "overload", "timeout", "network"})


class Sighting(StrEnum):
    """What may be seen of a program."""

    NOT_VISIBLE = "not visible"
    RETRY = "retry"
    FALLBACK = "fallback"
    ASKED_AGAIN = "asked again"
    NOT_CHECKED = "not checked"
    PASSED_ON = "passed on"


class Observation(Value, kw_only=True):
    """One thing that was seen, over all workflows that were looked at."""

    seen: Sighting
    what: str  # a sentence
    times: int | None  # None: it cannot be counted
    workflows: int
    cost_usd: float | None  # of the calls that it is about; None: unknown
    examples: tuple[str, ...]  # ids of calls
    instead: str | None  # what evalh would do, in a line


def observe(details: Sequence[WorkflowDetail]) -> tuple[Observation, ...]:
    """Return what these workflows show: what is not visible first, then the most frequent first.

    Those that `evalh.ask` ran are left out: their retries and checks are a route's, and `evalh explain` tells of it.
    """
    details = [one for one in details if not is_asked(one)]
    found = _Found()
    for detail in details:
        _look(detail, found)
    hidden = list(_hidden(details))
    return (*hidden, *sorted(found.observations(), key=lambda one: (-(one.times or 0), one.what)))


def is_asked(detail: WorkflowDetail) -> bool:
    """Whether evalh ran a workflow itself."""
    return detail.workflow.door == _ASK


class _Found:
    """Gathers sightings of the same kind."""

    def __init__(self) -> None:
        self._calls: defaultdict[tuple[Sighting, str], list[tuple[str, Call, float | None]]] = defaultdict(list)

    def add(self, seen: Sighting, what: str, workflow: str, call: Call, cost_usd: float | None) -> None:
        """Take one sighting."""
        self._calls[seen, what].append((workflow, call, cost_usd))

    def observations(self) -> Iterator[Observation]:
        """Yield each kind once."""
        for (seen, what), calls in self._calls.items():
            costs = [cost for _, _, cost in calls]
            yield Observation(
                seen=seen,
                what=what,
                times=len(calls),
                workflows=len({workflow for workflow, _, _ in calls}),
                cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
                examples=tuple(call.id for _, call, _ in calls[:3]),
                instead=_INSTEAD[seen],
            )


_INSTEAD: Mapping[Sighting, str | None] = {
    Sighting.NOT_VISIBLE: None,
    Sighting.RETRY: 'retry = {attempts = 4, on = ["rate_limit", "overload"]} waits as long as the server asks',
    Sighting.FALLBACK: 'fallback = ["strong"] in a route logs its reason; a breaker stops requests to what is down',
    Sighting.ASKED_AGAIN: 'repair = {checks = ["schema"]} tells the model what was wrong, and is counted',
    Sighting.NOT_CHECKED: "`output.schema` in a prompt's front matter is sent to the model and checked at every answer",
    Sighting.PASSED_ON: "`input.schema` of the next step of a pipeline stops what does not fit, and names its step",
}


def _hidden(details: Sequence[WorkflowDetail]) -> Iterator[Observation]:
    """Say what the doors could not see."""
    calls = [(detail.workflow.id, call) for detail in details for call in detail.calls]
    counts: Counter[str] = Counter()
    workflows: defaultdict[str, set[str]] = defaultdict(set)
    blank = {
        attempt.call_id
        for detail in details
        for attempt in detail.attempts
        if attempt.status == "ok" and attempt.text is None and not attempt.tool_calls
    }
    for workflow, call in calls:
        dark = call.messages is None
        for what, missing in (
            (_ATTEMPTS, call.attempts is None),
            (_SAME_REQUESTS, dark and call.request_digest is None),
            (_REQUESTS, dark and call.request_digest is not None),
            (_ANSWERS, call.id in blank and call.operation != "embedding"),
        ):
            counts[what] += missing
            workflows[what] |= {workflow} if missing else set()
    for what, count in counts.items():
        if count:
            yield _not_visible(f"{what} ({count:,} of {len(calls):,} calls)", workflows[what])
    if details and not calls:
        yield _not_visible("any model call: the records hold only steps", {one.workflow.id for one in details})


def _not_visible(what: str, workflows: set[str]) -> Observation:
    return Observation(
        seen=Sighting.NOT_VISIBLE,
        what=what,
        times=None,
        workflows=len(workflows),
        cost_usd=None,
        examples=(),
        instead=None,
    )


def _look(detail: WorkflowDetail, found: _Found) -> None:
    attempts: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in detail.attempts:
        attempts[attempt.call_id].append(attempt)
    calls = sorted(detail.calls, key=lambda one: one.started_at if one.started_at is not None else 0.0)
    costs = {call.id: _cost(attempts[call.id]) for call in calls}
    _look_for_repeats(detail, calls, attempts, costs, found)
    _look_for_hand_overs(detail, calls, attempts, costs, found)


def _look_for_repeats(
    detail: WorkflowDetail,
    calls: Sequence[Call],
    attempts: Mapping[str, Sequence[Attempt]],
    costs: Mapping[str, float | None],
    found: _Found,
) -> None:
    """Find calls whose messages an earlier call of the workflow had."""
    before: dict[str, Call] = {}
    for call in calls:
        if (call.attempts or 0) > 1:
            failed = next((one.error_kind for one in attempts[call.id] if one.status == "error"), None)
            what = f"the client library sent the request again by itself, after {_named(failed)}"
            found.add(Sighting.RETRY, what, detail.workflow.id, call, costs[call.id])
        asked = _asked(call)
        if asked is None:
            continue
        earlier, before[asked] = before.get(asked), call
        if earlier is not None:
            seen, what = _repeated(earlier, call, attempts)
            found.add(seen, what, detail.workflow.id, call, costs[call.id])


def _asked(call: Call) -> str | None:
    """Return what stands for a call's messages; None: nothing is known of them."""
    return call.request_digest if call.messages is None else digest(call.messages)


def _repeated(earlier: Call, call: Call, attempts: Mapping[str, Sequence[Attempt]]) -> tuple[Sighting, str]:
    last = next(reversed(attempts.get(earlier.id, ())), None)
    failed = last is not None and last.status == "error"
    kind = (last.error_kind or "an error") if last is not None and failed else None
    if _model(earlier) != _model(call):
        after = f"after {_named(kind)}" if failed else "although the first one was answered"
        return Sighting.FALLBACK, f"the same messages went to another model {after}"
    if not failed:
        return (
            Sighting.ASKED_AGAIN,
            "the same request was sent again after an answer, without saying what was wrong",
        )
    waited = _waited_s(earlier, call)
    if kind not in _WAITS:
        how = " without saying what was wrong"
    elif waited is None:
        how = ""
    else:
        how = " at once" if waited < _AT_ONCE_S else " after a wait"
    return Sighting.RETRY, f"the same request was sent again{how}, after {_named(kind)}"


def _named(kind: str | None) -> str:
    return "an error" if kind is None else f"'{kind}'"


def _waited_s(earlier: Call, call: Call) -> float | None:
    if earlier.started_at is None or call.started_at is None or earlier.latency_ms is None:
        return None
    return call.started_at - earlier.started_at - earlier.latency_ms / 1000.0


def _model(call: Call) -> JsonValue:
    return (call.settings or {}).get("model")


def _look_for_hand_overs(
    detail: WorkflowDetail,
    calls: Sequence[Call],
    attempts: Mapping[str, Sequence[Attempt]],
    costs: Mapping[str, float | None],
    found: _Found,
) -> None:
    """Find answers that no schema held, and what of them went into later calls."""
    told = [[text for role, text in said(call.messages) if role != "assistant"] for call in calls]
    for place, call in enumerate(calls):
        answer = next((one for one in reversed(attempts.get(call.id, ())) if one.text), None)
        if answer is None or answer.text is None:
            continue
        held = bool((call.settings or {}).get("output_schema"))
        goes_on = _is_read(answer.text, call, chain(*told[place + 1 : place + 1 + _MOST_LATER]))
        if goes_on and (broken := _broken(answer)) is not None:
            found.add(
                Sighting.PASSED_ON,
                f"an answer {broken}, and went into a later call",
                detail.workflow.id,
                call,
                costs[call.id],
            )
        elif goes_on and not held:
            what = "an answer for which no schema was sent went into a later call"
            found.add(Sighting.PASSED_ON, what, detail.workflow.id, call, costs[call.id])
        elif not held and answer.text.lstrip().startswith(("{", "[", "```")):
            what = "an answer looks like JSON, and no schema was sent for it"
            found.add(Sighting.NOT_CHECKED, what, detail.workflow.id, call, costs[call.id])


def _broken(answer: Attempt) -> str | None:
    """Say what is wrong with an answer for everybody to see; None: nothing is."""
    if answer.finish == "length":
        return "was cut off (its tokens ran out)"
    if answer.finish in ("refusal", "content_filter"):
        return "was refused"
    text = (answer.text or "").strip()
    if text.startswith(("{", "[")):
        try:
            parse(text)
        except NotStrictJson:
            return "looked like JSON and was not"
    return None


def _is_read(text: str, call: Call, later: Iterable[str]) -> bool:
    """Whether an answer, or a text inside its JSON, stands in what later calls were told.

    What the call itself was told proves nothing, and neither does a chat's history or a worked example: there the model
    reads its own words.
    """
    whole = text.strip()
    sought = [one[:_MOST] for one in _texts_in(text) if len(one) >= _SHORTEST]
    if len(whole) >= (_SHORTEST_JSON if whole.startswith(("{", "[")) else _SHORTEST):
        sought.append(whole[:_MOST])
    known = [said_before for _, said_before in said(call.messages)]
    sought = [one for one in sought if not any(one in said_before for said_before in known)]
    return bool(sought) and any(one in heard for heard in later for one in sought)


def _texts_in(text: str) -> list[str]:
    """Return the texts inside an answer's JSON; none where it is not JSON."""
    try:
        waiting = [parse(text.strip())]
    except NotStrictJson:
        return []
    texts: list[str] = []
    while waiting and len(texts) < _MOST_TEXTS:
        value = waiting.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
    return texts


def _cost(attempts: Sequence[Attempt]) -> float | None:
    costs = [one.cost_usd for one in attempts]
    return None if not costs or None in costs else sum(cost for cost in costs if cost is not None)
