"""Trying a file's graders on outputs that the log holds: nothing is asked, and nothing is kept."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from msgspec.structs import replace

from evalh.api.parts import Parts
from evalh.core.attempt import Completion
from evalh.core.errors import EvalhError, NotFound, UsageError
from evalh.core.log import GraderTrial, SampleStory, TriedOutput
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, StepOutput, Verdict
from evalh.graders.kinds import Grader, GraderEnvironment
from evalh.graders.registry import build
from evalh.plugins import load_plugins

_SHOWN = 3


def try_graders(parts: Parts, path: str, run: str, most: int) -> list[GraderTrial]:
    """Judge a run's outputs by every grader that a file registers. Raises WorkspaceError, NotFound, UsageError."""
    kinds = load_plugins(parts.root, [path], "the command line")
    if not kinds.own:
        raise UsageError(f"{path} registers no grader", hint='@grader("max_words"), from evalh import grader')
    environment = replace(parts.grader_environment, kinds=kinds)
    run_id, stories = _outputs(parts, run, most)
    specs = list(_stated(parts))
    found = []
    for name, kind in kinds.own.items():
        named = [spec for spec in specs if spec.kind == name] or [
            GraderSpec(kind=name, name=name, required=False, where=kind.where)
        ]
        found += [_try(spec, environment, run_id, stories) for spec in named]
    return found


def _stated(parts: Parts) -> Iterator[GraderSpec]:
    """Yield the entries of every suite that can be read: they state a grader's parameters."""
    for suite in parts.suites():
        try:
            yield from parts.suite(suite).graders
        except EvalhError:  # `evalh check` tells
            continue


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
            )
