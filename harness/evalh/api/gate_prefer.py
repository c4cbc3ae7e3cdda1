"""A gate's suites with `compare:` entries: their judges see both outputs of each case that differs.

What they prefer is told beside the decision and never changes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evalh.analysis.verdicts import SuiteDecision
from evalh.api.changes import SuiteChange
from evalh.api.comparing import CompareRequest
from evalh.api.judge_identity import pair_standings
from evalh.api.preferring import judged, judges_of
from evalh.api.results import results_of
from evalh.core.calibration import JudgeStanding
from evalh.core.errors import EvalhError
from evalh.core.ports import Progress
from evalh.core.values import Value
from evalh.graders.prefer import Prefer

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace

_NOT_ASKED = "the judges under `compare:` were not asked"


class Preferring(Value):
    """Whom to ask about which suite. Compiled before anything is asked, so that a slip costs nothing."""

    workspace: "Workspace"  # head's
    judges: Mapping[str, tuple[Prefer, ...]]
    standings: Mapping[str, tuple[JudgeStanding, ...]]
    request: CompareRequest
    progress: Progress

    def tell(self, suites: Iterable[SuiteDecision]) -> tuple[SuiteDecision, ...]:
        """Return the decisions with what the judges prefer. Raises KeyboardInterrupt."""
        return tuple(self._told(one, self.judges.get(one.suite, ())) for one in suites)

    def _told(self, suite: SuiteDecision, judges: Sequence[Prefer]) -> SuiteDecision:
        if not judges:
            return suite
        compared = suite.comparison
        if compared is None or not compared.comparable:
            return _noted(suite, f"{_NOT_ASKED}: nothing was compared")
        runs = (compared.base.run, compared.head.run)
        try:
            log = self.workspace.log
            base, head = (results_of(log, log.run(run or "")) for run in runs)
            said = judged(self.workspace, judges, (base, head), self.request, self.progress)
        except EvalhError as error:  # what was decided stands
            return _noted(suite, f"{_NOT_ASKED}: {error.what}")
        unseen = compared.n - len(base.cases.keys() & head.cases.keys())
        standing = (*suite.judges, *self.standings[suite.suite])
        told = replace(suite, comparison=replace(compared, preferred=said, judges=standing), judges=standing)
        if unseen:
            what = f"{unseen} of {compared.n} cases have no output on a side (the baseline kept none)"
            return _noted(told, f"{what}: no preference is known for them")
        return told


def preferring(
    workspace: "Workspace",
    changes: Iterable[SuiteChange],
    progress: Progress,
    *,
    fresh: bool = False,
    concurrency: int | None = None,
    budget_usd: Decimal | None = None,
) -> Preferring:
    """Compile the judges of every suite that is compared. Raises WorkspaceError, UsageError."""
    request = CompareRequest(base="", fresh=fresh, concurrency=concurrency, budget_usd=budget_usd)
    judges = {
        change.suite: judges_of(workspace, change.suite, request)
        for change in changes
        if change.compares and change.head.suite.compare
    }
    standings = {suite: pair_standings(workspace.tree, suite, found) for suite, found in judges.items()}
    return Preferring(workspace, judges, standings, request, progress)


def _noted(suite: SuiteDecision, notice: str) -> SuiteDecision:
    return replace(suite, notices=(*suite.notices, notice))
