"""Trying a file's graders on outputs that the log holds: nothing is asked, and nothing is kept."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from msgspec.structs import replace

from evalh.api.parts import Parts
from evalh.api.suite_graders import counts_rows
from evalh.core.attempt import Completion
from evalh.core.digest import canonical
from evalh.core.errors import EvalhError, NotFound, UsageError
from evalh.core.log import GraderTrial, SampleStory, TriedOutput
from evalh.core.strict_json import JsonValue
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, StepOutput, Verdict, parts_of
from evalh.graders.kinds import Grader, GraderEnvironment
from evalh.graders.registry import build
from evalh.plugins import load_plugins

_SHOWN = 3
_ROWS = 10_000  # whose graders are looked at
_OF_ROWS = 20  # of their entries, for a suite


def try_graders(parts: Parts, path: str, run: str, most: int) -> list[GraderTrial]:
    """Judge a run's outputs by every grader that a file registers. Raises WorkspaceError, NotFound, UsageError."""
    kinds = load_plugins(parts.root, [path], "the command line")
    if not kinds.own:
        raise UsageError(f"{path} registers no grader", hint='@grader("max_words"), from evalh import grader')
    environment = replace(parts.grader_environment, kinds=kinds)
    run_id, stories = _outputs(parts, run, most)
    specs = list(_stated(parts, kinds.own))
    found = []
    for name, kind in kinds.own.items():
        named = [spec for spec in specs if spec.kind == name] or [
            GraderSpec(kind=name, name=name, required=False, where=kind.where)
        ]
        found += [_try(spec, environment, run_id, stories) for spec in named]
    return found


def _stated(parts: Parts, kinds: Collection[str]) -> Iterator[GraderSpec]:
    """Yield where suites, and rows that bring graders, name these kinds: they state a grader's parameters."""
    for name in parts.suites():
        try:
            suite = parts.suite(name)
            specs = suite.graders
            for spec in specs:
                yield from [spec] if spec.kind in kinds else _inside({spec.kind: dict(spec.params)}, kinds, spec.where)
            if counts_rows(suite):
                rows = islice((case for case in parts.dataset_of(suite) if case.graders), _ROWS)
                of_rows = (
                    spec for case in rows for entry in case.graders for spec in _inside(entry, kinds, case.where)
                )
                distinct = {canonical([spec.kind, dict(spec.params)]): spec for spec in of_rows}
                yield from islice(distinct.values(), _OF_ROWS)
        except EvalhError:  # `evalh check` tells
            continue


def _inside(entry: JsonValue, kinds: Collection[str], where: str) -> Iterator[GraderSpec]:
    """Find these kinds in an entry, and in the entries inside it."""
    if isinstance(entry, str):
        kind, stated = entry, None
    elif isinstance(entry, Mapping) and len(entry) == 1:
        ((kind, stated),) = entry.items()
    else:
        return
    params = stated if isinstance(stated, Mapping) else {} if stated is None else {"value": stated}
    if kind in kinds:
        own = {key: value for key, value in params.items() if key not in ("name", "required", "weight")}
        yield GraderSpec(kind=kind, name=kind, params=own, where=where)
    elif kind == "not":
        yield from _inside(params.get("grader", params.get("value", params)), kinds, where)
    elif kind in ("any_of", "all_of", "weighted"):
        listed = params.get("graders", params.get("value"))
        for inner in listed if isinstance(listed, list | tuple) else ():
            yield from _inside(inner, kinds, where)


def _outputs(parts: Parts, run: str, most: int) -> tuple[str | None, tuple[SampleStory, ...]]:
    """Return a run's id and samples with an output; None and nothing if nothing was run yet."""
    try:
        record = parts.log.run(run).record
    except NotFound:
        if run != "last":
            raise
        return None, ()
    stories: Iterable[SampleStory] = (one for one in parts.log.stories(record.id) if one.output is not None)
    return record.id, tuple(islice(stories, most))


def _try(
    spec: GraderSpec, environment: GraderEnvironment, run: str | None, stories: Sequence[SampleStory]
) -> GraderTrial:
    grader = build(spec, environment)
    began = time.perf_counter()
    verdicts = asyncio.run(_all(grader, stories))
    spent_s = time.perf_counter() - began
    tally = Counter(str(verdict.outcome) for verdict in verdicts)
    return GraderTrial(
        grader=spec.kind,
        where=spec.where,
        params=dict(spec.params),
        run=run,
        outputs=len(verdicts),
        counts={name: tally[name] for name in ("pass", "fail", "abstain", "error")},
        ms_each=1000 * spent_s / len(verdicts) if verdicts else None,
        examples=tuple(_examples(stories, verdicts)),
    )


async def _all(grader: Grader, stories: Sequence[SampleStory]) -> list[Verdict]:
    return [await grader.check(_context(story)) for story in stories]


def _context(story: SampleStory) -> GradeContext:
    sample = story.sample
    return GradeContext(
        case=story.case,
        completion=Completion(text=story.output or "", tool_calls=story.tool_calls),
        trial=sample.trial,
        latency=sample.latency,
        steps={
            one.step: StepOutput(one.output, one.inputs if isinstance(one.inputs, dict) else {})
            for one in sample.steps
            if one.gave
        },
    )


def _examples(stories: Sequence[SampleStory], verdicts: Sequence[Verdict]) -> Iterator[TriedOutput]:
    """Yield a few of each outcome: what errs first, then what fails."""
    order = ("error", "fail", "abstain", "pass")
    seen: Counter[str] = Counter()
    for story, verdict in sorted(zip(stories, verdicts, strict=True), key=lambda one: order.index(str(one[1].outcome))):
        outcome = str(verdict.outcome)
        seen[outcome] += 1
        if seen[outcome] <= _SHOWN:
            yield TriedOutput(
                case_id=story.sample.case_id,
                outcome=outcome,
                score=verdict.score,
                reason=verdict.reason,
                output=story.output or "",
                parts=tuple((verdict.detail or {})["parts"]) if parts_of(verdict) else (),
            )
