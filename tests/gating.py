"""A real git repository with a workspace whose model is as good as the prompt tells it to be: for tests of the gate."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from evalh.analysis.gate.decision import GateDecision
from evalh.api.gate import gate
from evalh.api.options import GateOptions
from evalh.api.workspace import Workspace
from workspaces import SUITE

# The model reads from its prompt on which tickets it is wrong: every n-th.
ANSWERS = """import json
import re


def answer(request, case_id, trial):
    told = re.search(r"wrong on every (\\d+)", request.messages[0].text)
    number = int(case_id.split("-")[1])
    wrong = told is not None and number % int(told[1]) == 0
    return json.dumps({"label": "bug" if wrong else "billing"})
"""
PROMPT = """---
description: {description}
config: {{temperature: 0, max_tokens: 24}}
input: {{schema: {{ticket: string}}}}
output:
  format: json
  schema: {{label(enum): [billing, bug]}}
---
{{{{role "system"}}}}
Sort the ticket; be wrong on every {wrong}.
{{{{role "user"}}}}
{{{{ticket}}}}
"""
CONFIG = """[workspace]
default_suite = "triage"

[models.small]
provider = "scripted"
model = "script-1"
function = "evals/answers.py:answer"
"""


class Repo:
    """A repository on branch `change`, one commit after `main`."""

    def __init__(self, folder: Path, *, cases: int = 200, wrong: int = 10, gate: str = "") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")
        self.write("evalh.toml", CONFIG)
        self.write("evals/answers.py", ANSWERS)
        self.write("evals/triage.yaml", SUITE + gate)
        self.rows([row(number) for number in range(1, cases + 1)])
        self.prompt(wrong)
        self.write(".gitignore", ".evalh/\n__pycache__/\n")
        self.commit("Start")
        self.git("checkout", "-q", "-b", "change")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def rows(self, rows: list[dict[str, object]]) -> None:
        self.write("datasets/triage.jsonl", "".join(json.dumps(one) + "\n" for one in rows))

    def prompt(self, wrong: int, description: str = "Sort a ticket") -> None:
        self.write("prompts/triage/draft.prompt", PROMPT.format(wrong=wrong, description=description))

    def commit(self, message: str = "Change") -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    @contextmanager
    def on_main(self, message: str = "Change") -> Iterator[None]:
        """Commit what is changed inside on `main`; `change` begins there again."""
        self.git("checkout", "-q", "main")
        yield
        self.commit(message)
        self.git("checkout", "-q", "-B", "change")

    def gate(self, **options: object) -> GateDecision:
        return gate(Workspace.open(self.folder), GateOptions(**{"base": "main", **options}))  # type: ignore[arg-type]


def row(number: int, **more: object) -> dict[str, object]:
    case = f"t-{number:04d}"
    return {"id": case, "inputs": {"ticket": f"order {number}"}, "expected": {"label": "billing"}, **more}


Make = Callable[..., Repo]
