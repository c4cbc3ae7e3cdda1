"""`embedding_similarity` over real sockets: asked once, priced, never a pass or a fail without an embedding."""

import json
from pathlib import Path
from typing import Any

import pytest

from faults.dialects import OPENAI, act
from faults.fault_server import Act, Asked, How, fault_server
from faults.running import here, rows, workspace

TOKENS, USD_PER_TOKEN = 5, 0.02e-6
MODEL = """provider = "openai"
api = "embeddings"
model = "embed-1"
base_url = "http://127.0.0.1:%d/v1"
price = {input = 0.02, output = 0}
"""
SUITE = """prompt: triage
dataset: triage
model: small
graders:
  - schema
  - embedding_similarity: {model: embed, pass_mark: 0.95, path: label, %s}
"""
VECTORS = {"billing": [1.0, 0.0], "bug": [0.8, 0.6], "money": [0.96, 0.28], "debt": [0.9, 0.435889894]}
CASES = 6


class Service:
    """A task's model, which says billing and bug in turns, and embeddings, which can be down."""

    def __init__(self) -> None:
        self.down: Act | None = None

    def __call__(self, asked: Asked) -> Act:
        if asked.model != "embed-1":
            return OPENAI.answer(json.dumps({"label": "billing" if int(asked.case[2:]) % 2 else "bug"}))
        if self.down is not None:
            return self.down
        vector = VECTORS[asked.document["input"]]
        usage = {"prompt_tokens": TOKENS, "total_tokens": TOKENS}
        return act({"data": [{"index": 0, "embedding": vector}], "model": "embed-1-2026", "usage": usage})


def written(folder: Path, port: int, params: str = "value: money", *, embed: str = MODEL) -> Path:
    models = {"small": OPENAI.config(port, model="task-1"), "embed": embed % port}
    folder = workspace(folder, models, {"either": 'model = "embed"\n'}, cases=CASES)
    (folder / "evals/triage.yaml").write_text(SUITE % params)
    return folder


def graded(result: dict[str, Any]) -> dict[str, Any]:
    (one,) = [one for one in result["graders"] if one["grader"] == "embedding_similarity"]
    return {name: one[name] for name in ("pass", "fail", "error", "required")}


def test_each_text_is_bought_once_logged_under_its_purpose_and_decides_nothing(tmp_path: Path) -> None:
    with fault_server(Service()) as server:
        folder = written(tmp_path, server.port)
        plan = json.loads(here(folder, "run", "--dry-run", "--json").out)["plans"][0]
        first = here(folder, "run", "--json", "--budget", "1").result
        asked = len(server.asked)
        second = here(folder, "run", "--json").result
        assert len(server.asked) == asked == 3 * CASES  # an answer, its embedding and the expected text's

    said = {"pass": 3, "fail": 3, "error": 0, "required": False}
    assert graded(first) == graded(second) == said
    assert (first["good"], first["bad"]) == (CASES, 0)
    spent = 2 * CASES * TOKENS * USD_PER_TOKEN
    assert first["judge_cost_usd"] == pytest.approx(spent, rel=1e-9)
    assert second["judge_cost_usd"] == 0.0
    assert spent < plan["judges_usd"]
    bought = rows(
        folder, "select purpose, status, count(*) as n, sum(output_tokens) as out from attempts group by 1, 2"
    )
    assert {"purpose": "embedding", "status": "ok", "n": 2 * CASES, "out": 0} in bought
    hits = rows(folder, "select sum(cache_hit) as n from calls where purpose = 'embedding'")
    assert hits == [{"n": 2 * CASES}]
    scores = rows(folder, "select distinct score, reason from verdicts where grader like 'embed%' order by 1")
    assert [(round(row["score"], 6), row["reason"]) for row in scores] == [
        (0.936, 'cosine 0.936 to "money"'),
        (0.96, 'cosine 0.960 to "money"'),
    ]


def test_it_decides_where_a_suite_says_so(tmp_path: Path) -> None:
    with fault_server(Service()) as server:
        folder = written(tmp_path, server.port, "value: [billing, debt], required: true")
        result = here(folder, "run", "--json").result

    assert (graded(result)["required"], graded(result)["pass"], result["bad"]) == (True, CASES, 0)


@pytest.mark.parametrize(
    "down",
    [
        OPENAI.error("auth"),
        OPENAI.error("overload"),
        Act(how=How.RESET),
        act({"data": [], "usage": {}}),
        act({"data": [{"embedding": [0.0, 0.0]}], "usage": {"prompt_tokens": 1}}),
    ],
    ids=["refused key", "overload", "reset", "no embedding", "all zeros"],
)
def test_without_embeddings_there_is_an_error_and_the_run_goes_on(tmp_path: Path, down: Act) -> None:
    script = Service()
    script.down = down
    with fault_server(script) as server:
        folder = written(tmp_path, server.port)
        done = here(folder, "run", "--json")

    assert (done.exit, done.result["good"], done.result["status"]) == (0, CASES, "complete")
    assert graded(done.result) == {"pass": 0, "fail": 0, "error": CASES, "required": False}
    reasons = {row["reason"] for row in rows(folder, "select reason from verdicts where outcome = 'error'")}
    assert all(reason.startswith("the embeddings of 'embed'") for reason in reasons), reasons


@pytest.mark.parametrize(
    ("params", "embed", "what"),
    [
        ("value: money", MODEL.replace('api = "embeddings"\n', ""), "model 'embed' gives no embeddings"),
        ("value: money, model: either", MODEL, "'either' is a route"),
        ("value: money, model: nobody", MODEL, "no model or route 'nobody'"),
        ("value: ''", MODEL, "has an empty value"),
        (
            "value: money}\n  - not: {embedding_similarity: {model: embed, pass_mark: 1}",
            MODEL,
            "decides only where a suite says so",
        ),
        (
            "value: money}\n  - judge: {rubric: x, scale: pass/fail, model: embed",
            MODEL,
            "gives only embeddings",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_sent(
    tmp_path: Path, params: str, embed: str, what: str
) -> None:
    folder = written(tmp_path, 1, params, embed=embed)
    suite = folder / "evals/triage.yaml"
    if "model:" in params.split("}", maxsplit=1)[0]:
        suite.write_text(suite.read_text().replace("model: embed, ", "", 1))

    done = here(folder, "run")

    assert done.exit == 2
    assert what in done.err


def test_it_is_no_suites_only_grader_and_its_model_answers_no_prompt(tmp_path: Path) -> None:
    folder = written(tmp_path, 1)
    suite = folder / "evals/triage.yaml"
    asked = here(folder, "run", "--model", "either")
    suite.write_text(suite.read_text().replace("  - schema\n", ""))
    alone = here(folder, "run")

    assert (asked.exit, alone.exit) == (2, 2)
    assert "model 'embed' gives only embeddings" in asked.err
    assert "no grader is required" in alone.err


def test_it_may_check_an_answer_inside_a_route_where_it_is_named_to(tmp_path: Path) -> None:
    route = (
        'model = "small"\n'
        'cascade = {checks = [{embedding_similarity = {model = "embed", pass_mark = 0.95, path = "label", value = "money"}}],'
        ' escalate_to = "strong"}\n'
    )
    with fault_server(Service()) as server:
        models = {name: OPENAI.config(server.port, model=f"{name}-1") for name in ("small", "strong")}
        folder = workspace(tmp_path, {**models, "embed": MODEL % server.port}, {"careful": route}, cases=CASES)
        done = here(folder, "run", "--json", "--model", "careful")

    assert (done.exit, server.count(model="embed-1")) == (0, 2 * CASES)
    assert server.count(model="strong-1") == CASES // 2  # what says bug is not near enough
    assert done.result["judge_cost_usd"] == 0.0  # the route's own check is task spend
