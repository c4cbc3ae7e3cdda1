"""A workspace with a pipeline of three steps, and a real server that answers each of them. Not a test itself."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loopback import Handler, chat_completion, http_server

CONFIG = """[workspace]
default_suite = "refund"

[models.small]
provider = "openai"
model = "test-1"
base_url = "http://127.0.0.1:{port}/v1"
price = {{input = 1.0, output = 1.0}}
"""
EXTRACT = """---
config: {temperature: 0, max_tokens: 24}
input: {schema: {type: object, properties: {email: {type: string}}, required: [email]}}
output:
  format: json
  schema:
    type: object
    properties: {order_id: {type: [integer, "null"]}, topic: {type: string}}
    required: [order_id, topic]
    additionalProperties: false
---
{{role "system"}}
STEP extract. Find the order.
{{role "user"}}
{{email}}
"""
REPLY = """---
config: {temperature: 0, max_tokens: 24}
input:
  schema:
    type: object
    properties: {email: {type: string}, order: {type: object}}
    required: [email, order]
---
{{role "system"}}
STEP reply. Answer the mail.
{{role "user"}}
{{email}} -- {{order}}
"""
PIPELINE = """steps:
  extract:
    inputs: {email: inputs.email}
  order:
    python: steps/orders.py:find
    inputs: {order_id: extract.order_id}
  reply:
    inputs: {email: inputs.email, order: order}
"""
ORDERS = """def find(order_id):
    return {"id": order_id, "state": "late" if order_id % 2 else "sent"}
"""
SUITE = """prompt: refund
dataset: refunds
model: small
step_graders:
  extract: [{equals: {path: order_id, expected: order_id}}]
graders:
  - contains: {expected: says}
"""


def mail(number: int) -> str:
    """Return the mail of a case."""
    return f"Where is order {number}?"


def row(number: int, **more: object) -> dict[str, object]:
    """Return a row with gold for `extract`."""
    expected = {"says": f"order {number} ", "steps": {"extract": {"order_id": number}}}
    return {"id": f"r-{number:04d}", "inputs": {"email": mail(number)}, "expected": expected, **more}


def write_pipeline(folder: Path, port: int, *, cases: int = 20, pipeline: str = PIPELINE, suite: str = SUITE) -> Path:
    """Write the workspace."""
    texts = {
        "evalh.toml": CONFIG.format(port=port),
        "prompts/extract/v1.prompt": EXTRACT,
        "prompts/reply/v1.prompt": REPLY,
        "prompts/refund/draft.pipeline.yaml": pipeline,
        "steps/orders.py": ORDERS,
        "evals/refund.yaml": suite,
        "datasets/refunds.jsonl": "".join(json.dumps(row(number)) + "\n" for number in range(1, cases + 1)),
    }
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


class StepServer:
    """Answers `extract` with the order's number, `reply` with the order. Wrong where it is told to be."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.asked: list[tuple[str, str]] = []  # (step, what the user's message says), as they arrived
        self.wrong_extracts: frozenset[int] = frozenset()  # orders whose number it invents
        self.no_json: frozenset[int] = frozenset()
        self.wrong_replies: frozenset[int] = frozenset()
        self.bodies: list[bytes] = []
        self._lock = threading.Lock()

    def answer(self, body: bytes) -> str:
        """Answer one request."""
        messages = json.loads(body)["messages"]
        step = re.search(r"STEP (\w+)", messages[0]["content"])
        said = messages[-1]["content"]
        assert step is not None
        with self._lock:
            self.asked.append((step[1], said))
            self.bodies.append(body)
        time.sleep(self.delay_s)
        found = re.search(r"order (\d+)", said)
        number = int(found[1]) if found else 0
        if step[1] == "extract":
            if number in self.no_json:
                return "I think it is the order"
            return json.dumps(
                {"order_id": number + 1000 if number in self.wrong_extracts else number, "topic": "order"}
            )
        order = json.loads(said.partition(" -- ")[2])
        return "nothing" if number in self.wrong_replies else f"Your order {order['id']} is {order['state']}"

    def count(self, step: str) -> int:
        """Count the requests of a step."""
        return sum(one == step for one, _ in self.asked)


@contextmanager
def step_server(delay_s: float = 0.0) -> Iterator[tuple[StepServer, int]]:
    """Serve on loopback; yield the server and its port."""
    state = StepServer(delay_s)

    class Chat(Handler):
        def answer(self) -> None:
            self.reply(200, chat_completion({"message": {"content": state.answer(self.body())}}))

    with http_server(Chat) as port:
        yield state, port
