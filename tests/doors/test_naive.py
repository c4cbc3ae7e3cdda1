"""`evalh explain --workflow` on a naive program: what its loop does where a door sees it, and "not visible" elsewhere."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from doors.seeing import TOML, model_server, run

pytest.importorskip("openai")
pytest.importorskip("opentelemetry.sdk.trace")
NAIVE = str(Path(__file__).with_name("naive.py"))
HIDDEN = "retries inside the client library: one span covers all of its attempts (2 of 2 calls)"
PASSED_ON = ("passed on", "an answer for which no schema was sent went into a later call", 1)


def observed(folder: Path, door: str, place: str) -> list[dict[str, Any]]:
    """Run the program, whose first model is busy twice; return what is said of it."""
    (folder / "evalh.toml").write_text(TOML)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "EVALH_"))}
    with model_server(limited=2, model="gpt-5-mini") as server:
        program = [NAIVE, server, door, place]
        if door == "spans":
            program = ["-m", "evalh", "collect", "--", sys.executable, *program]
        assert run(*program, cwd=folder, env=env) == "Your kettle was sent.\n"
    told = run("-m", "evalh", "explain", "--workflow", "last", "--json", cwd=folder, env=env)
    found: list[dict[str, Any]] = json.loads(told)["observations"]
    return found


def seen(found: list[dict[str, Any]]) -> set[tuple[str, str, int | None]]:
    return {(one["seen"], one["what"], one["times"]) for one in found}


def test_a_loop_above_the_client_is_seen_to_retry_blindly_and_to_hand_over_unchecked(tmp_path: Path) -> None:
    found = observed(tmp_path, "trace", "above")

    assert seen(found) == {("retry", "the same request was sent again at once, after 'rate_limit'", 2), PASSED_ON}


def test_a_loop_inside_the_client_is_seen_at_its_transport(tmp_path: Path) -> None:
    found = observed(tmp_path, "trace", "inside")

    assert seen(found) == {
        ("retry", "the client library sent the request again by itself, after 'rate_limit'", 1),
        PASSED_ON,
    }


def test_a_loop_inside_the_client_is_not_visible_in_spans_and_that_is_said_first(tmp_path: Path) -> None:
    found = observed(tmp_path, "spans", "inside")

    assert (found[0]["seen"], found[0]["what"]) == ("not visible", HIDDEN)
    assert seen(found) == {("not visible", HIDDEN, None), PASSED_ON}


def test_a_loop_above_the_client_is_seen_in_spans_too(tmp_path: Path) -> None:
    found = observed(tmp_path, "spans", "above")

    assert found[0]["seen"] == "not visible"
    assert ("retry", 2) in {(one["seen"], one["times"]) for one in found}
    assert PASSED_ON in seen(found)
