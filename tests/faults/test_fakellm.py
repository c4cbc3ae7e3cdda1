"""The same promises against a mock server that others wrote: `fakellm`, which counts for itself. Skipped where absent."""

import json
import shutil
import socket
import subprocess
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.running import decisions, rows, run, workspace

FAKELLM = shutil.which("fakellm", path=sysconfig.get_path("scripts")) or shutil.which("fakellm")
pytestmark = pytest.mark.skipif(FAKELLM is None, reason="fakellm is not installed")

CASES = 9  # twice as many failures are too few for a breaker
RULES = """version: 1
rules:
  - name: down
    when: {model_matches: "down-*"}
    respond: {status: 503, error: overloaded}
  - name: busy
    when: {model_matches: "busy-*", turn: 1}
    respond: {status: 429, error: slow down}
  - name: vague
    when: {model_matches: "vague-*"}
    respond: {content: "It may be about billing."}
  - name: right
    respond: {content: '{"label": "billing"}'}
"""
KINDS = {"openai": "/v1", "anthropic": ""}
ROUTES = {
    "patient": 'model = "busy"\nretry = {attempts = 3, base_s = 0.01, share = 2.0}',
    "backed": 'model = "down"\nretry = {attempts = 2, base_s = 0.01}\nfallback = ["small"]',
    "careful": 'model = "vague"\ncascade = {checks = ["schema"], escalate_to = "small"}',
}


class FakeLlm:
    """The running server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_fakellm/stats", timeout=10) as answer:
            found = json.load(answer)
        assert isinstance(found, dict)
        return found

    def models(self, kind: str) -> dict[str, str]:
        base = f"http://127.0.0.1:{self.port}{KINDS[kind]}"
        return {
            name: f'provider = "{kind}"\nmodel = "{name}-1"\nbase_url = "{base}"\nprice = {{input = 0.25, output = 2.0}}\n'
            for name in ("small", "down", "busy", "vague")
        }


@pytest.fixture
def fakellm(tmp_path: Path) -> Iterator[FakeLlm]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rules = tmp_path / "fakellm.yaml"
    rules.write_text(RULES)
    command = [str(FAKELLM), "serve", "--port", str(port), "--config", str(rules)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = FakeLlm(port)
    try:
        _wait_for(server)
        yield server
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.parametrize("kind", KINDS)
def test_another_ones_faults_are_met_the_same_way(tmp_path: Path, fakellm: FakeLlm, kind: str) -> None:
    folder = workspace(tmp_path / "workspace", fakellm.models(kind), ROUTES, cases=CASES)
    done = {route: run(folder, model=route) for route in ROUTES}
    counted = fakellm.stats()
    again = [run(folder, model=route).result for route in ROUTES]

    assert {route: (one.exit, one.result["good"], one.result["errors"]) for route, one in done.items()} == {
        route: (0, CASES, {}) for route in ROUTES
    }
    # The stronger model of `careful` has answered for `backed` already.
    assert counted["by_rule"] == {"busy": CASES, "down": 2 * CASES, "vague": CASES, "right": 2 * CASES}
    (sent,) = rows(folder, "select count(*) as n, count(distinct call_id) as calls from attempts")
    assert sent["n"] == counted["total_requests"]
    told = {one["kind"] for one in decisions(folder)}
    assert told == {"retry", "shrink", "give_up", "fallback", "escalate"}
    assert [one["cost_usd"] for one in again] == [0.0] * len(ROUTES)
    assert fakellm.stats()["total_requests"] == counted["total_requests"]


def _wait_for(server: FakeLlm) -> None:
    give_up = time.monotonic() + 60.0
    while True:
        try:
            server.stats()
        except OSError:
            assert time.monotonic() < give_up, "fakellm did not start"
            time.sleep(0.1)
        else:
            return
