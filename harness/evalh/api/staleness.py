"""Which committed baselines still stand for what a run would measure now, and why the others do not."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from evalh.api.clock import SystemClock
from evalh.core.errors import EvalhError, NotFound
from evalh.core.policy import BaselinePolicy
from evalh.core.values import Value
from evalh.workspace.baselines import Baseline, baseline_paths, read_baseline

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace
    from evalh.engine.plan import Plan


class BaselineState(Value):
    """One committed baseline, and why it is stale; fresh where nothing is named."""

    path: str
    date: str
    good_rate: float | None
    stale: tuple[str, ...]
    outputs: bool | None = None  # whether they are kept; None: not known
    again: str | None = None  # what accepts a stale one again; None: it is fresh, or cannot be read


def states(workspace: "Workspace", now: float | None = None) -> list[BaselineState]:
    """Say of every baseline whether it still stands for what a run would measure now (seconds since the epoch)."""
    moment = SystemClock().now() if now is None else now
    return [_state(workspace, path, moment) for path in baseline_paths(workspace.tree)]


def too_old(baseline: Baseline, policy: BaselinePolicy, now: float) -> str | None:
    """Say that a baseline is older than its suite allows; None: it is not."""
    if policy.max_age_days is None:
        return None
    try:
        accepted = date.fromisoformat(baseline.header["date"])
    except (TypeError, ValueError):
        return "it does not say when it was accepted"
    days = (datetime.fromtimestamp(now, UTC).date() - accepted).days
    return f"{days} days old, more than {policy.max_age_days}" if days > policy.max_age_days else None


def _state(workspace: "Workspace", path: str, now: float) -> BaselineState:
    from evalh.api.runs import RunOptions

    try:
        baseline = read_baseline(workspace.tree, path)
        assert baseline is not None
        header = baseline.header
        options = RunOptions(target=header["suite"], prompts=(header["prompt"],), models=(header["model"],))
        (plan,) = workspace.plans(options)
        stale = tuple(_reasons(workspace, baseline, plan, now))
        again = f"evalh baseline accept {header['prompt']} --suite {header['suite']} -m {header['model']}"
        return BaselineState(
            path,
            header["date"],
            header.get("summary", {}).get("good_rate"),
            stale,
            bool(header.get("outputs")),
            again if stale else None,
        )
    except EvalhError as exc:
        return BaselineState(path, "", None, (exc.what,))


def _reasons(workspace: "Workspace", baseline: Baseline, plan: "Plan", now: float) -> Iterator[str]:
    header, current = baseline.header, plan.fingerprint().document()
    yield from (f"{part} changed" for part, before in header["fingerprint"].items() if current.get(part) != before)
    old = too_old(baseline, plan.suite.baseline, now)
    if old is not None:
        yield old
    if header.get("outputs") and not plan.suite.baseline.outputs:
        yield "keeps outputs, which the suite does not allow: accept it again, and rewrite the history that holds them"
    then, today = sorted(header.get("answering_models", ())), _answering(workspace, plan, header["date"])
    if then and today is not None and today not in then:
        yield f"{today} answers now, {', '.join(then)} then"


def _answering(workspace: "Workspace", plan: "Plan", since: str) -> str | None:
    """Return the model that gave the newest answer of the log since then; None: it cannot be known."""
    if plan.target.chooses:
        return None  # of several models, whoever answered
    try:
        return workspace.log.answering_model(plan.target.first.provider.name, since)
    except NotFound:  # nothing was run yet
        return None
