"""Explaining a route: what it declares, and what the log says of it."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress

from msgspec.structs import replace

from evalh.analysis.explain import Statement, explain, explain_prices, explain_steps
from evalh.api.calibrate import JudgementLog, LogAsker
from evalh.api.parts import Parts
from evalh.core.attempt import Latency, NotSent
from evalh.core.errors import EvalhError, NotFound, did_you_mean, one_of
from evalh.core.log import FirstAnswer
from evalh.core.prompt import PromptRef
from evalh.core.route import Route, direct
from evalh.core.sample import Graded, Standing
from evalh.core.totals import Escalated, Tallies
from evalh.core.verdict import GradeContext, Verdict
from evalh.engine.runner import standing
from evalh.graders.kinds import Grader
from evalh.providers.registry import traits_of
from evalh.routing.target import reachable

Explained = tuple[str, Tallies | None, list[Statement]]
"""A route's name, what was counted (None: it is part of the route before it, and counted there), its decisions."""


def explained(parts: Parts, name: str | None, last: int) -> list[Explained]:
    """Explain what a suite, a route or a model does, and every route that it leads to. Raises NotFound."""
    route, suite = _named(parts, name)
    tallies = _tallies(parts, route.name, suite, last)
    models = parts.config.models

    def told(one: Route, counted: Tallies) -> list[Statement]:
        specs = [models[name] for name in one.targets if name in models]
        revisions = {spec.name: spec.options.get("revision") for spec in specs if traits_of(spec.provider).runs_code}
        priced = {spec.name: spec.price_as for spec in specs if spec.price_as is not None and spec.price is None}
        stated = explain(one, counted, {spec.name: spec.reasoning for spec in specs}, revisions)
        return [*stated, *explain_prices(priced)]

    inner = [(one.name, None, told(one, Tallies())) for one in reachable(route, parts.config.routes)[1:]]
    return [*_steps(parts, suite, route.name, tallies, last), (route.name, tallies, told(route, tallies)), *inner]


def _steps(parts: Parts, suite: str | None, route: str, tallies: Tallies, last: int) -> Iterator[Explained]:
    """Yield what the pipeline of a suite does about its steps, where it has one."""
    if suite is None:
        return
    version = parts.version_of(loaded := parts.suite(suite), PromptRef(loaded.prompt, None))
    if version.pipeline is not None:
        taken = parts.log.step_decisions(parts.log.last_runs(route, suite, last)) if tallies.runs else {}
        yield version.label, tallies, list(explain_steps(version.pipeline, taken))


def _named(parts: Parts, name: str | None) -> tuple[Route, str | None]:
    config = parts.config
    suites = parts.suites()
    name = name or config.default_suite
    if name is None:
        raise NotFound("explain what?", hint=one_of("evalh explain {}", (*suites, *config.routes, *config.models)))
    suite, where = None, None
    if name in suites:
        suite, loaded = name, parts.suite(name)
        version = parts.version_of(loaded, PromptRef(loaded.prompt, None))
        if loaded.model is None and version.model is None:
            raise NotFound(f"suite {suite!r} names no model", where=loaded.where, hint="add `model: …`")
        name, where = parts.targets.default_model(loaded, version)
    if name in config.routes:
        return config.routes[name], suite
    if name in config.models:
        return direct(name), suite
    if suite is not None:
        raise parts.targets.no_model(name, where)
    known = (*suites, *config.routes, *config.models)
    raise NotFound(f"no suite, route or model {name!r}", hint=did_you_mean(name, known))


def _tallies(parts: Parts, target: str, suite: str | None, last: int) -> Tallies:
    try:
        log = parts.log
    except NotFound:
        return Tallies()
    runs = log.last_runs(target, suite, last)
    found = log.tallies(runs)
    if not found.of("escalate").taken:
        return found
    with closing(parts.open_store()) as store:
        recall = JudgementLog(store, parts.targets.resolve)
        return replace(found, escalated=asyncio.run(_worth(parts, log.first_answers(runs), recall)))


async def _worth(parts: Parts, answers: Iterable[FirstAnswer], recall: JudgementLog) -> Escalated:
    """Grade the first answers as if they had been kept, with the graders that the suites name today.

    Models are not asked: a judge says of a first answer what it said when it was a check of the route.
    """
    graders: dict[str, tuple[Grader, ...]] = {}
    counts: Counter[str] = Counter()
    for answer in answers:
        if answer.case.incident:  # chosen because it failed: it says nothing of what escalations are worth elsewhere
            continue
        if (
            answer.key.step is not None
        ):  # a pipeline's graders judge the whole, and what would have followed is not known
            counts["unknown"] += 1
            continue
        if answer.suite not in graders:
            graders[answer.suite] = ()
            with suppress(EvalhError):  # the suite is gone, or another one now: nothing can be said
                graders[answer.suite] = parts.graders_of(parts.suite(answer.suite))
        first = await _standing(graders[answer.suite], answer, recall)
        counts[_change(first, answer.standing)] += 1
    return Escalated(counts["helped"], counts["harmed"], counts["same"], counts["unknown"])


def _change(first: Standing, final: Standing) -> str:
    if Standing.UNGRADED in (first, final):
        return "unknown"
    if first is final:
        return "same"
    return "helped" if final is Standing.GOOD else "harmed"


async def _standing(graders: tuple[Grader, ...], answer: FirstAnswer, recall: JudgementLog) -> Standing:
    context = GradeContext(
        case=answer.case,
        completion=answer.completion,
        output_schema=answer.output_schema,
        latency=Latency(answer.completion.latency_ms),
        trial=answer.key.trial,
        step=answer.key.step,
        asker=LogAsker(recall, answer.key),
    )
    return standing([Graded(one.name, one.required, await _verdict(one, context)) for one in graders])


async def _verdict(grader: Grader, context: GradeContext) -> Verdict:
    try:
        return await grader.check(context)
    except (NotSent, EvalhError) as error:
        return Verdict.error(str(error))
