"""A repository with a judge of its own, and pull requests that try to talk its gate into a merge. Not a test itself."""

import json
from pathlib import Path

from evalh.analysis.gate.decision import GateDecision
from gating import ANSWERS, CONFIG, PROMPT, Repo
from workspaces import SUITE

CRITIC = """import json


def answer(request):
    text = "\\n".join(message.text for message in request.messages)
    verdict = "pass" if "LENIENT" in text or '"billing"' in text else "fail"
    return json.dumps({"reason": "so it is", "verdict": verdict})
"""
JUDGE_PROMPT = """---
config: {temperature: 0, max_tokens: 100}
output:
  format: json
  schema: {reason: string, verdict(enum): [pass, fail]}
---
{{role "system"}}
Say whether the ticket was sorted well. {{>manner}}
{{role "user"}}
{{output}}
"""
JUDGED = """prompt: triage
dataset: triage
model: small
graders:
  - judge: {rubric: %s, model: critic, scale: pass/fail, name: tone}
"""
EVIL = """from pathlib import Path

Path(r"%s").write_text("a stranger's code ran")
"""


class Hostile(Repo):
    """On `change`, after `main`. v1 is wrong on all cases, v2 on none, which is live."""

    def __init__(self, folder: Path, *, rubric: str = "", cases: int = 60, gate: str = "") -> None:
        super().__init__(folder, cases=cases, wrong=1000, gate=gate)
        with self.on_main("All that there is"):
            (folder / "prompts/triage/draft.prompt").unlink()
            for version, wrong in (("v1", 1), ("v2", 1000)):
                self.write(f"prompts/triage/{version}.prompt", PROMPT.format(wrong=wrong, description=version))
            self.config('[models.critic]\nprovider = "scripted"\nfunction = "evals/critic.py:answer"\n')
            self.write("evals/critic.py", CRITIC)
            self.write("prompts/tone/v1.prompt", JUDGE_PROMPT)
            self.write("prompts/tone/draft.prompt", JUDGE_PROMPT)
            self.write("prompts/tone/_manner.prompt", "Be strict.\n")
            self.write("rubrics/tone.md", "The answer sorts the ticket under billing.\n")
            if rubric:
                self.write("evals/triage.yaml", JUDGED % rubric + gate)
        self.evidence = folder.parent / "ran"

    def config(self, more: str = "", live: str = "v2", first: str = CONFIG) -> None:
        """Write evalh.toml with the models of `main`, and more."""
        critic = '[models.critic]\nprovider = "scripted"\nmodel = "c"\nfunction = "evals/critic.py:answer"\n'
        more = critic if more.startswith("[models.critic]") else critic + more
        self.write("evalh.toml", f'{first}\n[prompts.triage]\nlive = "{live}"\n\n{more}')

    def worse(self) -> None:
        """Bring a draft that is wrong on every case."""
        self.prompt(wrong=1)

    def evil(self, path: str) -> None:
        """Bring code that leaves its mark where it is run."""
        self.write(path, EVIL % self.evidence + ANSWERS)

    @property
    def ran(self) -> bool:
        """Whether the stranger's code was run."""
        return self.evidence.exists()

    def trusted(self, **options: object) -> GateDecision:
        """Decide as CI does: head's commit is checked out, and only base is trusted."""
        self.commit()
        return self.gate(head="HEAD", trust_base=True, **options)


def told(decision: GateDecision) -> str:
    """Return everything that a decision says."""
    findings = [*decision.findings, *(one for suite in decision.suites for one in suite.findings)]
    notices = [*decision.notices, *(notice for suite in decision.suites for notice in suite.notices)]
    return "\n".join([*decision.reasons, *(finding.reason for finding in findings), *notices])


def suite(prompt: str = "triage", dataset: str = "triage", **more: object) -> str:
    """Return a suite's text, about another prompt or dataset."""
    text = SUITE.replace("prompt: triage", f"prompt: {prompt}").replace("dataset: triage", f"dataset: {dataset}")
    return text + "".join(f"{key}: {json.dumps(value)}\n" for key, value in more.items())
