"""Builders for tests: small real workspaces, and a real server that answers as a chat-completions endpoint does."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from command_line import command_line
from loopback import Handler, chat_completion, http_server

PROMPT = """---
config: {temperature: 0, max_tokens: 24}
input: {schema: {ticket: string}}
output:
  format: json
  schema: {label(enum): [billing, bug]}
---
{{role "system"}}
Sort the ticket. Answer with JSON.
{{role "user"}}
{{ticket}}
"""
SUITE = """prompt: triage
dataset: triage
model: small
graders:
  - schema
  - equals: {path: label, expected: label}
"""
Answer = Callable[[str], str]


MODEL = """provider = "openai"
model = "test-1"
base_url = "http://127.0.0.1:{port}/v1"
price = {{input = 0.25, output = 2.0}}
"""


def label_of(ticket: str) -> str:
    """What the servers here answer: right for most tickets, wrong for every seventh."""
    number = int("".join(filter(str.isdigit, ticket)) or 0)
    return json.dumps({"label": "bug" if number % 7 == 0 else "billing"})


def write_workspace(folder: Path, *, cases: int = 20, model: str = "") -> Path:
    """Write a triage workspace; `model` is the body of `[models.small]`, a scripted one if empty."""
    for name in ("prompts/triage", "evals", "datasets"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "prompts/triage/v1.prompt").write_text(PROMPT)
    (folder / "evals/triage.yaml").write_text(SUITE)
    scripted = 'provider = "scripted"\nmodel = "script-1"\nfunction = "evals/answers.py:answer"\n'
    (folder / "evals/answers.py").write_text(ANSWERS)
    (folder / "evalh.toml").write_text(f'[workspace]\ndefault_suite = "triage"\n\n[models.small]\n{model or scripted}')
    rows = [
        {"id": f"t-{number:04d}", "inputs": {"ticket": f"order {number}"}, "expected": {"label": "billing"}}
        for number in range(1, cases + 1)
    ]
    (folder / "datasets/triage.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


ANSWERS = """import json


def answer(request, case_id, trial):
    number = int(case_id.split("-")[1])
    return json.dumps({"label": "bug" if number % 7 == 0 else "billing"})
"""


def evalh(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does: a process of its own."""
    done = command_line()(folder, *arguments, env=env)
    return subprocess.CompletedProcess(arguments, done.code, done.out, done.err)


def evalh_from_scratch(folder: Path, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command line in an interpreter of its own: where the interpreter's own settings are the test."""
    command = [sys.executable, "-m", "evalh", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the JSON document that a verb printed."""
    assert done.stdout, done.stderr
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def without_ids_and_times(run: dict[str, Any]) -> dict[str, Any]:
    """Return a run's document without what may differ between two equal runs."""
    return {name: value for name, value in run.items() if name not in {"run", "started_at"}}


class ChatServer:
    """Answers every chat completion with `label_of`; remembers who was asked when."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.asked: list[str] = []  # tickets, in the order in which requests arrived
        self.fail_after: int | None = None  # from this request on, answer with `failure`
        self.failure: tuple[int, dict[str, Any]] = (503, {"error": {"message": "overloaded"}})
        self.choice: Callable[[str], dict[str, Any]] = lambda ticket: {"message": {"content": label_of(ticket)}}
        self._lock = threading.Lock()

    def note(self, ticket: str) -> None:
        with self._lock:
            self.asked.append(ticket)


@contextmanager
def chat_server(delay_s: float = 0.0) -> Iterator[tuple[ChatServer, str]]:
    """Serve on loopback; yield the server and the `[models.small]` body that points to it."""
    state = ChatServer(delay_s)

    class Chat(Handler):
        def answer(self) -> None:
            ticket = json.loads(self.body())["messages"][-1]["content"]
            state.note(ticket)
            time.sleep(state.delay_s)
            if state.fail_after is not None and len(state.asked) > state.fail_after:
                self.reply(*state.failure)
                return
            said = dict(state.choice(ticket))
            reasoning = said.pop("reasoning", 0)
            self.reply(200, chat_completion(said, reasoning=reasoning))

    with http_server(Chat) as port:
        yield state, MODEL.format(port=port)
