"""A real HTTP server on loopback, for what a test answers request by request. Not a test itself."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Reads a request's body and sends an answer; a client that was killed is not an error: that may be the test."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def answer(self) -> None:
        """Answer a request of any method."""
        raise NotImplementedError

    def body(self) -> bytes:
        """Read what was sent."""
        return self.rfile.read(int(self.headers["Content-Length"]))

    def reply(self, status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
        """Answer with bytes, or with a document as JSON."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            return


class _Server(ThreadingHTTPServer):
    """Takes as many connections at once as a real one: beyond five, clients would wait for seconds."""

    request_queue_size = 512
    daemon_threads = True


@contextmanager
def http_server(handler: type[Handler]) -> Iterator[int]:
    """Serve until the block ends; yield the port."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def chat_completion(choice: Mapping[str, Any], *, reasoning: int = 0) -> dict[str, Any]:
    """Return the document of an answer; `choice` holds its message."""
    tokens = max(8, reasoning)
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "test-1",
        "choices": [
            {"index": 0, "finish_reason": "stop", **choice, "message": {"role": "assistant", **choice["message"]}}
        ],
        "usage": {
            "prompt_tokens": 20,
            "completion_tokens": tokens,
            "total_tokens": 20 + tokens,
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        },
    }
