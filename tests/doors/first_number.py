"""What stands in for OpenAI's model on a page of the guide: a server that always takes the first number for the order."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loopback import Handler, chat_completion, http_server

ORDER_NUMBER = re.compile(r"\d{5}")
_VERBS = {"sent": "was sent on", "packed": "was packed on", "delivered": "was delivered on", "lost": "was lost on"}


@contextmanager
def first_number_server() -> Iterator[str]:
    """Serve until the block ends; yield the address for `OPENAI_BASE_URL`."""

    class Chat(Handler):
        def answer(self) -> None:
            asked = json.loads(self.body())["messages"][-1]["content"]
            self.reply(200, chat_completion({"message": {"content": _answer(asked)}}))

    with http_server(Chat) as port:
        yield f"http://127.0.0.1:{port}/v1"


def _answer(asked: str) -> str:
    _, _, shown = asked.partition("\nOrder: ")
    if not shown:
        found = ORDER_NUMBER.search(asked)
        return json.dumps({"number": found and found[0]})
    order: dict[str, Any] = json.loads(shown)
    if not order["found"]:
        return "Your order is on its way."
    return f"Your {order['item']} {_VERBS[order['state']]} {order['day']}."
