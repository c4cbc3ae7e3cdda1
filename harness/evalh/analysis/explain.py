"""Every decision that evalh makes on the user's behalf, in plain language, with how often it was made."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from evalh.core.attempt import ErrorKind
from evalh.core.money import in_dollars
from evalh.core.prompt import OnBad, Pipeline
from evalh.core.reasoning import KEEP, STRIP
from evalh.core.route import BudgetPolicy, EscalateBy, RepairBy, Route
from evalh.core.suite import GraderSpec
from evalh.core.totals import DecisionTally, Tallies
from evalh.core.values import Value
from evalh.routing.run_context import RetryBudget


class Statement(Value, kw_only=True):
    """One decision: under which heading, when it is taken, what follows; and what the last runs say of it.

    None if it cannot be counted.
    """

    topic: str
    when: str
    then: str
    taken: int | None = None
    cost_usd: Decimal | None = None
    helped: str | None = None
    replayed: int = 0  # times among `taken` for which the log held every answer
    replayed_usd: Decimal | None = None  # what those answers had cost; None if unknown


FAILS = "when a call fails"
DOWN = "when a provider is down"
ALOUD = "when the model writes its reasoning"
UNFIT = "when the output fails a check"
UNSURE = "when the model is unsure"
MONEY = "when money or time runs out"
KNOWN = "when the log has the answer"
BAD_STEP = "when a step is bad"
FUNCTIONS = "when a step is a function"

_ON_BAD = {
    OnBad.STOP: "no step that depends on it runs, and the sample is bad",
    OnBad.CONTINUE: "its output is handed on anyway",
    OnBad.REVIEW: "its output is handed on, and a person must review the result",
}

_LASTS = {
    None: "its code may have changed: no other run uses the answer again, unless the model states a `revision`",
    "git": "its answer is used again while HEAD's files are the same and nothing is uncommitted",
}
_WHILE = "its answer is used again while the model states the same `revision`"

_ACCOUNT = (ErrorKind.AUTH, ErrorKind.QUOTA)
_HOPELESS = (ErrorKind.BAD_REQUEST, ErrorKind.CONTEXT_LENGTH, ErrorKind.UNSUPPORTED)


def explain(
    route: Route, tallies: Tallies, reasoning: Mapping[str, str] | None = None, revisions: Mapping[str, str | None] = {}
) -> list[Statement]:
    """State a route's decisions in the order in which a call may meet them.

    `reasoning`: what happens to the reasoning before an answer, for each model that the route names. `revisions`: of
    applications among them, what is stated of their code; None: nothing.
    """
    before = (_retry, _paused, _fallback, _failed, _breaker, _limits)
    after = (_repair, _cascade, _money)
    return [
        *_known(tallies, revisions),
        *(statement for part in before for statement in part(route, tallies)),
        *_aloud(reasoning or {}),
        *(statement for part in after for statement in part(route, tallies)),
    ]


def explain_prices(priced: Mapping[str, str]) -> Iterator[Statement]:
    """State which models are priced by the row of another one in the price table."""
    for name, row in priced.items():
        yield Statement(topic=MONEY, when=f"{name} answers", then=f"it costs what the price table says for {row}")


def explain_steps(pipeline: Pipeline, taken: Mapping[tuple[str, str], int]) -> Iterator[Statement]:
    """State what a pipeline does about its steps; `taken` counts what was done, by (what, step)."""
    for spec in pipeline.steps:
        if spec.checks:
            yield Statement(
                topic=BAD_STEP,
                when=f"{spec.name} fails a check: {', '.join(check.name for check in spec.checks)}",
                then=_ON_BAD[spec.on_bad],
                taken=taken.get((spec.on_bad.value, spec.name), 0),
            )
    yield Statement(
        topic=BAD_STEP,
        when="the next step cannot take an output: it is not JSON, a field is missing, or a type is wrong",
        then="the step that gave it is bad, nothing is sent, and that path ends",
    )
    for spec in pipeline.steps:
        function = spec.function
        if function is None:
            continue
        attempts = 1 if function.effects else function.attempts
        again = f"it is called again, {attempts} times in total; then " if attempts > 1 else ""
        yield Statement(
            topic=FUNCTIONS,
            when=f"{spec.name} raises, takes more than {function.timeout_s:g} s, or does not give JSON (step_error)",
            then=f"{again}the sample is ungraded, never bad",
        )
        if function.effects:
            yield Statement(
                topic=FUNCTIONS,
                when=f"{spec.name} has effects",
                then="it is called only with --allow-effects, and never twice for one sample",
            )


def _known(tallies: Tallies, revisions: Mapping[str, str | None]) -> Iterator[Statement]:
    for name, revision in revisions.items():
        yield Statement(topic=KNOWN, when=f"{name} is an application", then=_LASTS.get(revision, _WHILE))
    yield Statement(
        topic=KNOWN,
        when="the log has an answer to the same request, case and trial",
        then="it is used, and counts at what it cost when it was bought",
        taken=tallies.from_log,
    )


def _aloud(reasoning: Mapping[str, str]) -> Iterator[Statement]:
    then = {
        STRIP: "it is separated from the answer before checks and graders see it, and kept in attempts.reasoning",
        KEEP: "it stays part of the output, and is graded with it",
    }
    for word, what in then.items():
        if models := [name for name, chosen in reasoning.items() if chosen == word]:
            when = f"an answer of {' or '.join(models)} begins with reasoning (<think>…</think> and the like)"
            yield Statement(topic=ALOUD, when=when, then=what)


def _retry(route: Route, tallies: Tallies) -> Iterator[Statement]:
    policy = route.retry
    paused = _waits_for_rate_limits(route)
    if policy.attempts == 1:
        failure = "any failure other than rate_limit" if paused else "any kind of failure"
        yield Statement(topic=FAILS, when=failure, then="it is not sent again: one attempt is declared")
        return
    uncounted = "; a rate_limit does not count for either" if paused else ""
    tally = tallies.of("retry")
    yield Statement(
        topic=FAILS,
        when=_kinds(policy.on),
        then=(
            f"the same request is sent again, {policy.attempts} attempts in total; it waits a random time up to"
            f" {policy.base_s:g} s, doubled each time up to {policy.cap_s:g} s, and at least as long as the provider"
            f" asks; where that is more than {policy.max_wait_s:g} s, it is not sent again;"
            f" a run retries at most {RetryBudget.FREE} times, plus {policy.share:g} of its calls{uncounted}"
        ),
        **_counted(tally),
        helped=f"{tally.answered} calls were answered in the end",
    )


def _waits_for_rate_limits(route: Route) -> bool:
    """Whether a rate limit is waited for, and is not a failure that counts as an attempt."""
    on = ErrorKind.RATE_LIMIT in route.retry.on
    return on and not (route.fallback and ErrorKind.RATE_LIMIT in route.fallback_on)


def _paused(route: Route, _tallies: Tallies) -> Iterator[Statement]:
    if ErrorKind.RATE_LIMIT not in route.retry.on:
        return
    retry = route.retry
    goes_on = (
        f"where it names none, after three refusals in a row, for {retry.base_s:g} s, doubled each time up to"
        f" {retry.cap_s:g} s; the request is sent again, which does not count as a retry;"
        f" after {route.wait_s:g} s of such waits a call is given up"
    )
    if not _waits_for_rate_limits(route):
        goes_on = "it is a failure like any other"
    yield Statement(
        topic=FAILS,
        when="the provider says rate_limit",
        then=f"nothing is sent to that model until the time that it names; {goes_on}",
    )


def _fallback(route: Route, tallies: Tallies) -> Iterator[Statement]:
    if not route.fallback:
        return
    tally = tallies.of("fallback")
    yield Statement(
        topic=FAILS,
        when=f"{route.model} gave no answer: {_kinds(route.fallback_on)}",
        then=f"{', then '.join(route.fallback)} is asked",
        **_counted(tally),
        helped=f"{tally.answered} calls were answered in the end",
    )


def _failed(route: Route, tallies: Tallies) -> Iterator[Statement]:
    caught = route.fallback_on if route.fallback else frozenset()
    fatal = [kind for kind in _ACCOUNT if kind not in caught]
    if fatal:
        yield Statement(
            topic=FAILS,
            when=_kinds(fatal),
            then="the run stops with exit code 4, and is saved: every further call would fail the same way",
            taken=sum(tallies.unanswered.get(kind.value, 0) for kind in fatal),
        )
    others = {kind: count for kind, count in tallies.unanswered.items() if kind not in {str(one) for one in fatal}}
    yield Statement(
        topic=FAILS,
        when=f"no attempt was answered ({_kinds(_HOPELESS)} are never sent again)",
        then="the sample is ungraded, never bad; above the suite's max_ungraded the exit code is 4",
        taken=sum(others.values()),
    )


def _breaker(route: Route, tallies: Tallies) -> Iterator[Statement]:
    policy = route.breaker
    if policy is None:
        then = "it is still asked: no breaker is declared"
        yield Statement(topic=DOWN, when="a provider fails again and again", then=then)
        return
    waits = "calls wait for it; two failed probes end the run"
    otherwise = waits
    if route.fallback:
        caught = ErrorKind.BREAKER_OPEN in route.fallback_on
        otherwise = f"{route.fallback[0]} is asked" if caught else "calls fail with breaker_open"
    yield Statement(
        topic=DOWN,
        when=(
            f"{100 * policy.rate:g} % of at least {policy.min} requests in {policy.window_s:g} s failed with overload,"
            f" timeout or network, or {policy.silent_failures} in a row while nothing was answered for"
            f" {policy.silence_s:g} s"
        ),
        then=f"no requests are sent for {policy.cooldown_s:g} s, then one request probes it; meanwhile {otherwise}",
        taken=tallies.of("open").taken,
    )


def _limits(route: Route, tallies: Tallies) -> Iterator[Statement]:
    limit = route.limit
    named = (("concurrency", "in flight"), ("rpm", "requests a minute"), ("tpm", "tokens a minute"))
    ceilings = [f"{getattr(limit, key)} {words}" for key, words in named if getattr(limit, key) is not None]
    above = f"; never above {', '.join(ceilings)}" if ceilings else ""
    yield Statement(
        topic=DOWN,
        when="a provider says rate_limit or overload",
        then=f"half as many requests are sent at once; the number grows again one by one{above}",
        taken=tallies.of("shrink").taken,
    )


def _repair(route: Route, tallies: Tallies) -> Iterator[Statement]:
    policy = route.repair
    if policy is None:
        yield Statement(topic=UNFIT, when="any output", then="it is accepted: no repair is declared")
        return
    how = {
        RepairBy.FEEDBACK: "with the output and what was wrong with it",
        RepairBy.VARY: "with another temperature and seed",
    }[policy.by]
    tally = tallies.of("repair")
    yield Statement(
        topic=UNFIT,
        when=_checks(policy.checks),
        then=f"{route.model} is asked again {how}, {policy.attempts} time{'s' * (policy.attempts > 1)} at most",
        **_counted(tally),
        helped=f"{max(tally.answered - tallies.of('unrepaired').taken, 0)} outputs passed then",
    )


def _cascade(route: Route, tallies: Tallies) -> Iterator[Statement]:
    policy = route.cascade
    if policy is None:
        yield Statement(topic=UNSURE, when="any output", then="it is accepted: no cascade is declared")
        return
    what = {
        EscalateBy.AGAIN: "answers the same request",
        EscalateBy.VERIFY: "is shown the answer and confirms or corrects it",
    }
    tally, worth = tallies.of("escalate"), tallies.escalated
    helped = None
    if worth is not None:
        helped = f"{worth.helped} bad → good, {worth.harmed} good → bad, {worth.same} the same"
        helped += f", {worth.unknown} unknown" if worth.unknown else ""
    yield Statement(
        topic=UNSURE,
        when=_checks(policy.checks),
        then=f"{policy.escalate_to} {what[policy.by]}",
        **_counted(tally),
        helped=helped,
    )
    kept = f"the answer of {route.model} is kept"
    yield Statement(topic=UNSURE, when="every check passes", then=kept, taken=tallies.of("keep").taken)


def _money(route: Route, tallies: Tallies) -> Iterator[Statement]:
    bounds = list(_bounds(route.budget))
    if not bounds:
        then = "it goes on: no budget is declared (--budget USD sets one)"
        yield Statement(topic=MONEY, when="a run costs more than planned", then=then)
        return
    for when, then in bounds:
        yield Statement(topic=MONEY, when=when, then=then)
    ended = "a run ended early, for any reason"
    yield Statement(topic=MONEY, when=ended, then="what it has is saved", taken=tallies.stopped)


def _bounds(budget: BudgetPolicy) -> Iterator[tuple[str, str]]:
    saved = "and the run is saved with exit code 4"
    spent = f"no new call is sent, calls in flight finish, {saved}"
    if budget.usd_per_run is not None:
        yield f"the worst case of the next call would pass {in_dollars(budget.usd_per_run)} for the run", spent
    if budget.usd_per_day is not None:
        day = f"the worst case of the next call of `evalh.ask` would pass {in_dollars(budget.usd_per_day)} for 24 hours"
        yield day, "it is not made, and that ask raises BudgetSpent; a run goes on"
    if budget.tokens_per_run is not None:
        yield f"the worst case of the next call would pass {budget.tokens_per_run} tokens for the run", spent
    if budget.usd_per_case is not None:
        another = f"another attempt could pass {in_dollars(budget.usd_per_case)} for its case"
        yield another, "it is not made; the sample is ungraded"
    if budget.deadline_s is not None:
        yield (
            f"{budget.deadline_s:g} s have passed since the run began",
            f"no new call is sent, calls in flight are cancelled, {saved}",
        )


def _counted(tally: DecisionTally) -> dict[str, Any]:
    return {name: getattr(tally, name) for name in ("taken", "cost_usd", "replayed", "replayed_usd")}


def _kinds(kinds: Iterable[ErrorKind]) -> str:
    return ", ".join(sorted(kind.value for kind in kinds))


def _checks(specs: Iterable[GraderSpec]) -> str:
    return f"a check does not pass: {', '.join(spec.name for spec in specs)}"
