"""The pytest fixture `evalh`: a suite's gate as a test.

def test_v3_holds(evalh):
    evalh.gate("triage", base="v2", head="v3").assert_accepted()

pytest imports this module in every run of every project that has evalh installed: it imports nothing of evalh until
a test asks for the fixture.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from evalh.analysis.gate.decision import GateDecision
    from evalh.api.workspace import Workspace


class Gated:
    """A gate's decision, for a test to check."""

    def __init__(self, decision: "GateDecision") -> None:
        self.decision = decision

    @property
    def accepted(self) -> bool:
        """Whether the gate accepts."""
        return self.decision.exit == 0

    def assert_accepted(self) -> None:
        """Fail the test with the gate's reasons unless the gate accepts. Inconclusive fails too."""
        __tracebackhide__ = True
        if not self.accepted:
            from evalh.report.terminal.gate import decision_word

            reasons = "\n".join(f"  {reason}" for reason in self.decision.reasons)
            pytest.fail(f"{decision_word(self.decision.exit)}:\n{reasons}", pytrace=False)


class Evalh:
    """The workspace around the tests."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._workspace: Workspace | None = None

    @property
    def workspace(self) -> "Workspace":
        """The workspace, opened on first use. Raises WorkspaceError."""
        if self._workspace is None:
            from evalh.api.workspace import Workspace

            self._workspace = Workspace.open(self._root)
        return self._workspace

    def gate(self, suite: str, *, base: str, head: str, model: str | None = None) -> Gated:
        """Compare two versions with a suite's gate. Raises EvalhError."""
        from evalh.api.gate import gate_versions

        return Gated(gate_versions(self.workspace, suite, base, head, model))


@pytest.fixture(scope="session")
def evalh(request: pytest.FixtureRequest) -> Evalh:
    """Return the evalh workspace around pytest's root folder."""
    return Evalh(request.config.rootpath)
