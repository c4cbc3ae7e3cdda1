"""Blame by experiment, on a real server whose faults are known."""

from pathlib import Path

import pytest

from pipelines.test_runs import run
from stepping import PIPELINE, step_server, write_pipeline
from workspaces import document, evalh


def blame(folder: Path, *options: str) -> dict[str, object]:
    return document(evalh(folder, "blame", "--json", *options))


@pytest.mark.parametrize("design", ["in-order", "halving", "single", "all-sets"])
def test_the_step_that_loses_the_cases_is_named(tmp_path: Path, design: str) -> None:
    with step_server() as (server, port):
        server.wrong_extracts = frozenset(range(1, 31, 3))
        folder = write_pipeline(tmp_path, port, cases=30)
        first = run(folder)
        extracts, replies = server.count("extract"), server.count("reply")
        found = blame(folder, "--design", design)
    assert (first["bad"], found["cases"]) == (10, 10)
    assert found["leading"] == ["extract"]
    assert found["chance"]["value"] == 0.0
    assert found["residual"]["value"] == 0.0
    assert found["steps"][0]["effect"]["value"] == pytest.approx(1.0)
    assert server.count("extract") - extracts == 30  # three fresh draws of each, and none where gold stands in
    assert server.count("reply") - replies == 60


def test_what_no_step_explains_is_said(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_replies = frozenset(range(1, 31, 3))
        folder = write_pipeline(tmp_path, port, cases=30)
        run(folder)
        found = blame(folder)
        told = evalh(folder, "blame").stdout
    assert found["leading"] == []
    assert found["residual"]["value"] == pytest.approx(1.0)
    assert "no step is shown to lose them" in told


def test_a_stronger_model_stands_in_where_there_is_no_gold(tmp_path: Path) -> None:
    suite = "prompt: refund\ndataset: refunds\nmodel: small\ngraders: [contains: {expected: says}]\n"
    with step_server() as (weak, port), step_server() as (_, other):
        weak.wrong_extracts = frozenset(range(1, 21, 2))
        folder = write_pipeline(tmp_path, port, cases=20, suite=suite)
        config = (folder / "evalh.toml").read_text()
        strong = config.partition("\n\n")[2].replace("small", "strong").replace(str(port), str(other))
        (folder / "evalh.toml").write_text(config + "\n" + strong)
        run(folder)
        found = blame(folder, "--stand-in", "strong")
    assert found["stand_in"] == "strong"
    assert found["leading"] == ["extract"]


def test_a_blame_leaves_what_other_verbs_say_as_it_was(tmp_path: Path) -> None:
    verbs = (["show", "last"], ["report", "last"])
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({1, 2, 3})
        folder = write_pipeline(tmp_path, port, cases=6)
        run(folder)
        before = [evalh(folder, *verb, "--json").stdout for verb in verbs]
        blame(folder)
        after = [evalh(folder, *verb, "--json").stdout for verb in verbs]
    assert before == after


def test_what_cannot_be_blamed_says_why(tmp_path: Path) -> None:
    with step_server() as (server, port):
        folder = write_pipeline(tmp_path, port, cases=3)
        run(folder)
        good = evalh(folder, "blame")
        server.wrong_extracts = frozenset({1})
        (folder / "prompts/refund/draft.pipeline.yaml").write_text(PIPELINE + "output: [reply]\n")
        run(folder, "--fresh")
        (folder / "prompts/refund/draft.pipeline.yaml").write_text(PIPELINE + "output: [order]\n")
        changed = evalh(folder, "blame")
    assert (good.returncode, "nothing to blame" in good.stderr) == (2, True)
    assert (changed.returncode, "prompt changed" in changed.stderr) == (3, True)


def test_the_price_is_told_before(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({1, 2})
        folder = write_pipeline(tmp_path, port, cases=4)
        run(folder)
        asked = len(server.asked)
        cost = document(evalh(folder, "blame", "--dry-run", "--json"))
        assert len(server.asked) == asked
        budget = evalh(folder, "blame", "--budget", "0.00001")
    assert (cost["cases"], cost["samples"]) == (2, 12)
    assert cost["worst_case_usd"] > 0
    assert budget.returncode == 4


def test_a_run_that_was_handed_outputs_is_not_blamed_and_it_says_what_to_run(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_replies = frozenset({1})
        folder = write_pipeline(tmp_path, port, cases=2)
        evalh(folder, "run", "--given", "extract=expected")
        done = evalh(folder, "blame")
    assert done.returncode == 3
    assert "evalh run refund, without --given or --model <step>=…; then blame that run" in done.stderr
