"""A model's server for the programs behind the doors, and what a door saw of a workflow. Not a test itself."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from evalh.api.workspace import Workspace
from evalh.core.production import WorkflowDetail
from loopback import Handler, http_server

TOML = """
[trace]
content = true

[models.reader]
provider = "openai"
model = "gpt-5-mini"
price = {input = 1, output = 10, cached_input = 0.5}

[models.writer]
provider = "openai"
model = "gpt-5"
price = {input = 4, output = 20}
"""
TOKENS = {"gpt-5-mini": (100, 9, 40), "gpt-5": (50, 6, 0)}
"""Of each model: tokens in, out, and from the cache."""
TEXTS = {"gpt-5-mini": '{"order": 7}', "gpt-5": "Your kettle was sent."}


@contextmanager
def model_server(*, limited: int = 0, model: str = "gpt-5") -> Iterator[str]:
    """Answer as OpenAI does; the first `limited` requests to `model` get a 429."""
    left = [limited]

    class Chat(Handler):
        def answer(self) -> None:
            asked = json.loads(self.body())["model"]
            if asked == model and left[0]:
                left[0] -= 1
                self.reply(429, {"error": {"message": "slow down", "code": "rate_limit"}}, {"retry-after-ms": "1"})
            else:
                self.reply(200, _completion(asked))

    with http_server(Chat) as port:
        yield f"http://127.0.0.1:{port}/v1"


def _completion(model: str) -> dict[str, Any]:
    sent, got, cached = TOKENS[model]
    message = {"role": "assistant", "content": TEXTS[model]}
    return {
        "id": f"chatcmpl-{model}",
        "object": "chat.completion",
        "created": 1_795_766_400,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": sent,
            "completion_tokens": got,
            "total_tokens": sent + got,
            "prompt_tokens_details": {"cached_tokens": cached},
        },
    }


def run(*command: str, cwd: Path, env: dict[str, str]) -> str:
    """Run a process to its end; return what it printed."""
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def workflows(folder: Path) -> list[WorkflowDetail]:
    """Return all workflows that were recorded in a workspace, in their order."""
    production = Workspace.open(folder).production
    _, found = production.query("select id from workflows order by started_at, id")
    return [production.detail(row[0]) for row in found]


def costs(folder: Path) -> tuple[float | None, int | None]:
    """Return what all workflows cost, and how many attempts they had, as the view `workflow_costs` says."""
    _, found = Workspace.open(folder).production.query("select cost_usd, attempts from workflow_costs")
    dollars, attempts = zip(*found, strict=True)
    return (None if None in dollars else sum(dollars)), (None if None in attempts else sum(attempts))


class SeenStep(NamedTuple):
    name: str
    kind: str
    status: str | None


class SeenCall(NamedTuple):
    step: str | None
    model: str | None
    answer: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cost_usd: float | None


def steps(detail: WorkflowDetail) -> list[SeenStep]:
    return [SeenStep(one.name, one.kind, one.status) for one in detail.steps]


def calls(detail: WorkflowDetail) -> list[SeenCall]:
    """Return what is said of each call's answer, in the order of the calls."""
    names = {one.id: one.name for one in detail.steps}
    found = []
    for call in detail.calls:
        last = [one for one in detail.attempts if one.call_id == call.id][-1]
        step = None if call.step_id is None else names[call.step_id]
        tokens = (last.input_tokens, last.output_tokens, last.cached_tokens)
        found.append(SeenCall(step, last.model, last.text, *tokens, last.cost_usd))
    return found
