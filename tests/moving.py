"""A hosted model that moves between two moments: a real server on loopback, and a repository that asks it."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evalh.api.baselines import accept
from evalh.api.options import AcceptOptions
from evalh.api.workspace import Workspace
from faults.fault_server import Act, Asked, FaultServer, fault_server
from gating import Repo

CONFIG = """[workspace]
default_suite = "triage"

[models.small]
provider = "openai"
model = "sorter"
base_url = "http://127.0.0.1:{port}/v1"
price = {{input = 0.25, output = 2.0}}
timeout_s = 5.0
"""


@dataclass
class Moving:
    """What the server is at the moment. It is wrong where the prompt tells it to, and `also` on every n-th ticket."""

    name: str = "sorter-2026-01-01"
    also: int | None = None
    broken: bool = False
    tickets: list[tuple[str, str]] = field(default_factory=list)  # (prompt, case)

    def answer(self, asked: Asked) -> Act:
        text = json.dumps(asked.document["messages"])
        told = re.search(r"wrong on every (\d+)", text)
        assert told is not None
        self.tickets.append((told[1], asked.case))
        if self.broken:
            return Act(status=401, body=b'{"error": {"message": "who are you?", "code": "invalid_api_key"}}')
        number = int(asked.case[2:])
        wrong = number % int(told[1]) == 0 or (self.also is not None and number % self.also == 0)
        message = {"role": "assistant", "content": json.dumps({"label": "bug" if wrong else "billing"})}
        body = {
            "id": "c-1",
            "object": "chat.completion",
            "created": 1,
            "model": self.name,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28},
        }
        return Act(body=json.dumps(body).encode())

    def count(self, wrong: int) -> int:
        """Count the requests with the prompt that is wrong on every n-th."""
        return sum(told == str(wrong) for told, _ in self.tickets)


@contextmanager
def moving() -> Iterator[tuple[Moving, FaultServer]]:
    """Serve a model that tests may move."""
    model = Moving()
    with fault_server(model.answer) as server:
        yield model, server


def accepted(folder: Path, server: FaultServer, *, cases: int = 100, wrong: int = 10, more: str = "") -> Repo:
    """A repository whose main branch holds a baseline of the model as it is; then a machine without a log.

    `more` is appended to the suite. The work tree is on branch `change`.
    """
    repo = Repo(folder / "repo", cases=cases, wrong=wrong, gate=more)
    repo.write("evalh.toml", CONFIG.format(port=server.port))
    accept(Workspace.open(repo.folder), AcceptOptions(suite="triage"))
    repo.commit("Accept")
    repo.git("branch", "-f", "main")
    shutil.rmtree(repo.folder / ".evalh")
    return repo
