"""A run says where its samples went wrong, and what was spent after that."""

import os
from pathlib import Path

import pytest

from stepping import PIPELINE, step_server, write_pipeline
from workspaces import document, evalh

CHECKED = PIPELINE.replace(
    "    inputs: {email: inputs.email}\n  order",
    "    inputs: {email: inputs.email}\n    checks: [{not: {contains: '10'}}]\n    on_bad: POLICY\n  order",
)


@pytest.mark.parametrize(("policy", "word", "behind"), [("continue", "poisoned", 2), ("stop", "failed at the end", 0)])
def test_stopping_at_a_bad_step_spends_nothing_after_it(tmp_path: Path, policy: str, word: str, behind: int) -> None:
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({3, 5})
        folder = write_pipeline(tmp_path, port, cases=9, pipeline=CHECKED.replace("POLICY", policy))
        result = document(evalh(folder, "run", "--json"))["results"][0]
    extract, _, reply = result["steps"]
    after = result["faults"]["after_bad"]
    assert result["samples_by_word"][word] == 2
    assert (extract["first_bad"], extract["responsible"]) == (2, 2.0)
    assert (reply["ran"], reply["stopped"]) == (7 + behind, 2 - behind)
    assert after["samples"] == behind
    assert after["usd"] == pytest.approx(reply["cost_usd"] * behind / 9, rel=0.1)
    assert sum(one["cost_usd"] for one in result["steps"]) == pytest.approx(result["cost_usd"])


def test_the_terminal_has_a_line_for_each_step(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({3, 5})
        folder = write_pipeline(tmp_path, port, cases=20)
        told = [
            " ".join(line.split())
            for line in evalh(folder, "run", env={**os.environ, "COLUMNS": "100"}).stdout.splitlines()
        ]
    assert any(line.startswith("extract 20 18 2 2 $") for line in told)
    assert any(line.startswith("reply 20 18 2 · $") for line in told)
    assert "samples 18 clean 90 % · 2 poisoned 10 %" in told
    assert any("spent in 2 samples: stopping there would save at most that" in line for line in told)
