"""A gate over a pipeline: what both sides need is asked once, a worse step is named, a stranger's shape is not run."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evalh.analysis.gate.decision import GateDecision
from evalh.api.gate import gate
from evalh.api.options import GateOptions
from evalh.api.workspace import Workspace
from evalh.core.errors import ExitCode
from stepping import EXTRACT, ORDERS, PIPELINE, REPLY, StepServer, step_server, write_pipeline


class Change:
    """A repository on branch `change`, with the pipeline's workspace on `main`."""

    def __init__(self, folder: Path, port: int, cases: int) -> None:
        self.folder = write_pipeline(folder, port, cases=cases)
        (folder / ".gitignore").write_text(".evalh/\n__pycache__/\n")
        self._git("init", "-q", "-b", "main")
        self.commit()
        self._git("checkout", "-q", "-b", "change")

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def commit(self) -> None:
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", "Change")

    def gate(self, *, trust_base: bool = False) -> GateDecision:
        self.commit()
        return gate(Workspace.open(self.folder), GateOptions(base="main", trust_base=trust_base))

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True)


@contextmanager
def a_change(folder: Path, cases: int = 60) -> Iterator[tuple[Change, StepServer]]:
    with step_server() as (server, port):
        yield Change(folder, port, cases), server


def told(decision: GateDecision) -> str:
    """Return everything that a decision says."""
    (suite,) = decision.suites
    return "\n".join([*decision.reasons, *suite.notices, *(one.reason for one in suite.findings)])


def test_a_change_of_the_last_step_asks_each_request_before_it_once_for_both_sides(tmp_path: Path) -> None:
    with a_change(tmp_path) as (change, server):
        change.write("prompts/reply/v1.prompt", REPLY.replace("Answer the mail", "Answer it"))
        decision = change.gate()
    extracts = [said for step, said in server.asked if step == "extract"]
    assert len(extracts) == len(set(extracts)) > 0
    assert server.count("reply") == 2 * len(extracts)
    assert decision.exit is ExitCode.YES
    assert "reply (prompt)" in told(decision)


def test_a_worse_extract_is_refused_and_named(tmp_path: Path) -> None:
    with a_change(tmp_path) as (change, server):
        change.gate()
        change.write("prompts/extract/v1.prompt", EXTRACT.replace("Find the order", "Guess the order"))
        answer = server.answer
        guesses = lambda body: answer(body.replace(b"order ", b"order 9")) if b"Guess" in body else answer(body)  # noqa: E731
        server.answer = guesses  # type: ignore[method-assign]
        decision = change.gate()
    assert decision.exit is ExitCode.NO
    assert "extract (prompt)" in told(decision)


def test_a_changed_function_selects_the_suite_and_is_named(tmp_path: Path) -> None:
    with a_change(tmp_path) as (change, server):
        change.write("steps/orders.py", ORDERS.replace('"late"', '"on its way"'))
        decision = change.gate()
    assert server.asked
    assert "order (function)" in told(decision)


def test_a_strangers_shape_and_functions_are_not_measured_and_not_run(tmp_path: Path) -> None:
    with a_change(tmp_path, cases=10) as (change, _):
        trap = tmp_path / "trap"
        change.write("steps/orders.py", f"open({str(trap)!r}, 'w').close()\n" + ORDERS)
        change.write("prompts/refund/draft.pipeline.yaml", PIPELINE + "output: [extract]\n")
        decision = change.gate(trust_base=True)
        assert not trap.exists()
    assert decision.exit is ExitCode.INCONCLUSIVE
    said = "\n".join(one.reason for one in decision.findings)
    assert "steps/orders.py" in said
    assert "prompts/refund/draft.pipeline.yaml" in said


def test_a_strangers_new_pipeline_is_not_measured(tmp_path: Path) -> None:
    with a_change(tmp_path, cases=10) as (change, _):
        change.write("prompts/refund/v1.pipeline.yaml", PIPELINE + "output: [extract]\n")
        decision = change.gate(trust_base=True)
    assert decision.exit is ExitCode.INCONCLUSIVE
    assert any("v1.pipeline.yaml" in one.reason for one in decision.findings)


def test_a_strangers_prompt_of_a_step_is_measured(tmp_path: Path) -> None:
    with a_change(tmp_path) as (change, server):
        change.write("prompts/reply/v1.prompt", REPLY.replace("Answer the mail", "Answer it"))
        decision = change.gate(trust_base=True)
    assert decision.exit is ExitCode.YES
    assert server.count("reply") > server.count("extract")
