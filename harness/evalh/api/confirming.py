"""`compare --confirm`: asking again what got worse, apart from the answers that showed it."""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from evalh.analysis.comparison import Comparison, Confirmed, Side
from evalh.analysis.confirm import FRESH_TRIALS, confirm
from evalh.api.results import results_of
from evalh.api.runs import RunOptions
from evalh.core.attempt import CONFIRM_DRAW
from evalh.core.errors import CannotMeasure, UsageError
from evalh.core.run import RunStatus
from evalh.engine.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evalh.analysis.pairing import CaseResult
    from evalh.api.comparing import CompareRequest
    from evalh.api.workspace import Workspace
    from evalh.core.ports import Progress
    from evalh.engine.plan import Plan


def confirmed(
    workspace: "Workspace", request: "CompareRequest", comparison: Comparison, progress: "Progress | None"
) -> tuple[Confirmed, ...]:
    """Ask the regressed cases 5 more times on both sides. Raises EvalhError, KeyboardInterrupt."""
    cases = frozenset(comparison.regressed)
    options = [_options(request, side, cases) for side in (comparison.base, comparison.head)]
    plans = [_plan(workspace, side, one) for side, one in zip((comparison.base, comparison.head), options, strict=True)]
    base, head = (_fresh(workspace, plan, one, progress) for plan, one in zip(plans, options, strict=True))
    for side, results in ((comparison.base, base), (comparison.head, head)):
        if all(case.ungraded == case.trials for case in results.values()):
            raise CannotMeasure(
                f"no fresh trial of {side.prompt} on {side.model} was graded",
                hint="evalh calls --errors; a recording answers again only if its rows hold draws:"
                f' {{"id": …, "trial": 0…{FRESH_TRIALS - 1}, "draw": {CONFIRM_DRAW}, …}}',
            )
    return confirm(comparison.regressed, base, head)


def _options(request: "CompareRequest", side: Side, cases: frozenset[str]) -> RunOptions:
    return RunOptions(
        target=side.suite,
        prompts=(side.prompt,),
        models=(side.model,),
        trials=FRESH_TRIALS,
        selection=Selection(case_ids=cases),
        concurrency=request.concurrency,
        fresh=request.fresh,
        budget_usd=request.budget_usd,
    )


def _plan(workspace: "Workspace", side: Side, options: RunOptions) -> "Plan":
    (plan,) = workspace.plans(options)
    now, then = plan.fingerprint(), side.fingerprint
    for part in ("prompt", "graders", "model", "route"):
        if getattr(now, part) != getattr(then, part):
            raise UsageError(
                f"{side.prompt} on {side.model} cannot be asked again: its {part} is no longer what was run",
                hint=f"evalh compare takes versions too: {side.prompt}",
            )
    return replace(plan, draw=CONFIRM_DRAW)


def _fresh(
    workspace: "Workspace", plan: "Plan", options: RunOptions, progress: "Progress | None"
) -> "Mapping[str, CaseResult]":
    (result,) = workspace.execute([plan], options, progress)
    if result.status is RunStatus.INTERRUPTED:
        raise KeyboardInterrupt
    if result.status is not RunStatus.COMPLETE:
        raise CannotMeasure(
            f"confirming stopped: {result.stopped_because}", hint="the same command goes on where this stopped"
        )
    return results_of(workspace.log, workspace.log.run(result.record.id)).cases
