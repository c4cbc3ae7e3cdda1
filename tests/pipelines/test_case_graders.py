"""Graders that rows bring judge a pipeline's output, and may look at its steps."""

import json
from pathlib import Path

from evalh.core.strict_json import JsonValue
from faults.running import here
from stepping import SUITE, row, step_server, write_pipeline


def bringing(folder: Path, port: int, *graders: JsonValue) -> Path:
    """Write a workspace whose first row brings these graders, and the second a plain one."""
    folder = write_pipeline(folder, port, suite=SUITE + "  - case\n")
    rows = [row(1, graders=list(graders)), row(2, graders=[{"contains": {"value": "order", "name": "about it"}}])]
    (folder / "datasets/refunds.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    return folder


def test_a_pipelines_output_is_judged_by_the_rows_own_graders(tmp_path: Path) -> None:
    with step_server() as (_, port):
        folder = bringing(tmp_path, port, {"not": {"contains": "order"}})
        check, run = here(folder, "check"), here(folder, "run", "--json").result

    assert check.exit == 0, check.out
    counts = {one["grader"]: (one["pass"], one["fail"]) for one in run["graders"]}
    assert (counts["case"], counts["about it"]) == ((1, 1), (1, 0))


def test_a_step_that_the_pipeline_does_not_have_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    with step_server() as (server, port):
        folder = bringing(tmp_path, port, {"cites": {"quotes": "$", "in": "serach"}})
        check, run = here(folder, "check"), here(folder, "run")

    assert check.exit == run.exit == 2
    assert "reads a step" in check.out
    assert "'serach'" in run.err
    assert not server.asked
