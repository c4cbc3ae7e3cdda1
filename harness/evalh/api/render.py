"""Rendering one case as a run would send it."""

from typing import TYPE_CHECKING

from evalh.api.runs import RunOptions
from evalh.core.request import Request
from evalh.engine.selection import Selection

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace


def render_case(
    workspace: "Workspace", case_id: str, *, suite: str | None, ref: str | None, model: str | None
) -> Request:
    """Return the request for one case. Raises NotFound for an unknown case, version or model."""
    options = RunOptions(
        target=suite,
        prompts=(ref,) if ref else (),
        models=(model,) if model else (),
        selection=Selection(case_ids=frozenset({case_id})),
    )
    plan = workspace.plans(options)[0]
    return plan.step.request(next(iter(plan.cases)))
