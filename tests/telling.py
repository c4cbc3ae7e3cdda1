"""A repository whose model reads from its prompt how wrong, expensive and slow it is: for tests of a gate's rules."""

import re
from pathlib import Path

from evalh.analysis.gate.decision import Finding, GateDecision
from gating import PROMPT, Repo

# The model reads from its prompt what an answer costs, how long it takes, and on which tickets it says too much.
ANSWERS = """import json
import re

from evalh.core.attempt import Completion


def answer(request, case_id, trial):
    told = dict(re.findall(r"([a-z]+)=(\\d+)", request.messages[0].text))
    number = int(case_id.split("-")[1])

    def every(name):
        return name in told and number % int(told[name]) == 0

    answer = {"label": "bug" if every("wrong") else "billing", "note": "call 555-0199" if every("leak") else "ok"}
    spread = 1 + number % 5 / 10
    return Completion(
        text=json.dumps(answer),
        cost_usd=int(told.get("microcents", 100)) * 1e-6 * spread,
        latency_ms=int(told.get("ms", 100)) * spread,
    )
"""
TELLING = """prompt: triage
dataset: triage
model: small
graders:
  - equals: {path: label, expected: label}
  - not: {contains: {value: "555"}, name: no_number, required: false}
"""


def repo(folder: Path, gate: str, *, cases: int = 60, told: str = "wrong=10") -> Repo:
    made = Repo(folder, cases=cases)
    with made.on_main("A model that tells its price"):
        made.write("evals/answers.py", ANSWERS)
        made.write("evals/triage.yaml", f"{TELLING}gate:\n  {gate}\n")
        tell(made, told)
    return made


def tell(made: Repo, told: str) -> None:
    text = PROMPT.format(wrong=0, description="Sort a ticket").replace("be wrong on every 0", told)
    made.write("prompts/triage/draft.prompt", re.sub(r"output:.*?\n---", "---", text, flags=re.DOTALL))


def found(decision: GateDecision, rule: str) -> Finding:
    (suite,) = decision.suites
    return next(finding for finding in suite.findings if finding.rule == rule)
