"""Blame by experiment, on a real server whose faults are known."""

from pathlib import Path

import pytest

from pipelines.test_runs import run
from stepping import PIPELINE, SUITE, step_server, write_pipeline
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


def test_bad_cases_that_no_step_explains_are_reported(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_replies = frozenset(range(1, 31, 3))
        folder = write_pipeline(tmp_path, port, cases=30)
        run(folder)
        found = blame(folder)
        told = evalh(folder, "blame").stdout
    assert found["leading"] == []
    assert found["residual"]["value"] == pytest.approx(1.0)
    assert "no step is shown to lose the bad cases" in told


def test_a_stronger_model_gives_outputs_where_there_is_no_gold(tmp_path: Path) -> None:
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


def test_a_blame_does_not_change_what_other_verbs_show(tmp_path: Path) -> None:
    verbs = (["show", "last"], ["report", "last"])
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({1, 2, 3})
        folder = write_pipeline(tmp_path, port, cases=6)
        run(folder)
        before = [evalh(folder, *verb, "--json").stdout for verb in verbs]
        blame(folder)
        after = [evalh(folder, *verb, "--json").stdout for verb in verbs]
    assert before == after


def test_a_run_that_cannot_be_blamed_is_refused_with_the_reason(tmp_path: Path) -> None:
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


def test_a_pipeline_that_became_a_single_prompt_or_lost_a_step_is_told_as_such(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({1})
        folder = write_pipeline(tmp_path, port, cases=3)
        made = run(folder)["run"]
        draft = folder / "prompts/refund/draft.pipeline.yaml"
        draft.write_text(PIPELINE.replace("extract", "read").replace("  read:", "  read:\n    prompt: extract@v1", 1))
        (folder / "evals/refund.yaml").write_text(SUITE.replace("extract:", "read:"))
        renamed = evalh(folder, "blame", made)
        draft.unlink()
        (folder / "prompts/refund/draft.prompt").write_text((folder / "prompts/extract/v1.prompt").read_text())
        (folder / "evals/refund.yaml").write_text(SUITE.replace("step_graders:\n", "").replace("  extract: [{", "# "))
        single = evalh(folder, "blame", made)
        typed = evalh(folder, "run", "--model", "extract=small")
    told = f"run {made} of refund@draft cannot be repeated: "
    assert f"{told}refund@draft does not have the step 'extract' any more" in renamed.stderr
    assert f"{told}it ran a pipeline, and refund@draft is a single prompt now" in single.stderr
    assert "refund@draft is a single prompt: --model extract=small needs a pipeline" in typed.stderr
    assert (renamed.returncode, single.returncode, typed.returncode) == (3, 3, 2)


def test_the_cost_is_known_before_a_blame(tmp_path: Path) -> None:
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


def test_a_run_with_given_outputs_is_refused_with_what_to_run(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_replies = frozenset({1})
        folder = write_pipeline(tmp_path, port, cases=2)
        evalh(folder, "run", "--given", "extract=expected")
        done = evalh(folder, "blame")
    assert done.returncode == 3
    assert "evalh run refund, without --given or --model <step>=…; then evalh blame" in done.stderr
