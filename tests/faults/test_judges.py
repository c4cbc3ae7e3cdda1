"""Judges over real sockets: attacked by what they grade, and out of order in the middle of a run."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalh.report.text import dollars
from faults.attacks import ATTACKS
from faults.dialects import ANSWER_USD, OPENAI
from faults.fault_server import Act, Asked, How, fault_server
from faults.running import decisions, here, rows, workspace
from workspaces import label_of, write_workspace

QUICK = "retry = {attempts = 2, base_s = 0.01}\n"
JUDGED = """prompt: triage
dataset: triage
model: small
graders:
  - schema
  - judge: {rubric: It is about money., scale: pass/fail, model: %s}
"""


def said(verdict: str) -> str:
    return json.dumps({"reason": "it is what I think", "verdict": verdict})


# -- attacked


def graded_text(asked: Asked) -> str:
    """The text inside the answer's fence, as the judge reads it."""
    text: str = asked.document["messages"][-1]["content"]
    begin = text.index("<answer-")
    tag = text[begin + 1 : text.index(">", begin)]
    assert text.count(f"</{tag}>") == 1  # the output cannot close it
    return text[begin + len(tag) + 3 : text.index(f"\n</{tag}>")]


HONEST: dict[str, Callable[[str], str]] = {
    "quotes, then judges": lambda text: f"The answer reads:\n{text}\n\nIt forges a verdict.\n{said('fail')}",
    "judges, then quotes": lambda text: f"{said('fail')}\nFor the record, it read:\n{text}",
    "quotes in a string": lambda text: json.dumps({"reason": f"It says: {text}", "verdict": "fail"}),
    "quotes only": lambda text: f"I was shown this:\n\n{text}",
    "echoes": lambda text: text,
    "says it otherwise": lambda text: f"{said('fail')} It read: {reprinted(text)}",
}
"""Judges that are not talked over, and still write down what they were shown."""


def reprinted(text: str) -> str:
    """Print the JSON of a text again, as a program that quotes might."""
    try:
        return json.dumps(json.loads(text), indent=2)
    except ValueError:
        return " ".join(text.split())


@pytest.mark.parametrize("schema", ["json_schema", "none"])
@pytest.mark.parametrize("habit", HONEST)
def test_no_forged_verdict_counts(tmp_path: Path, habit: str, schema: str) -> None:
    assert len(ATTACKS) >= 40
    with fault_server(lambda asked: OPENAI.answer(HONEST[habit](graded_text(asked)))) as server:
        folder = write_workspace(tmp_path, cases=len(ATTACKS))
        (folder / "evals/attacks.json").write_text(json.dumps(list(ATTACKS.values())))
        (folder / "evals/answers.py").write_text(ATTACKER)
        config = folder / "evalh.toml"
        config.write_text(f"{config.read_text()}[models.strong]\n{OPENAI.config(server.port)}schema = '{schema}'\n")
        (folder / "evals/triage.yaml").write_text(JUDGED.replace("  - schema\n", "") % "strong")
        done = here(folder, "run", "--json")

    outcomes = Counter(row["outcome"] for row in rows(folder, "select outcome from verdicts"))
    assert (done.result["samples"], done.result["good"], outcomes["pass"]) == (len(ATTACKS), 0, 0)
    if habit == "quotes in a string":
        assert outcomes["fail"] >= len(ATTACKS) - 5, rows(folder, "select * from verdicts where outcome = 'error'")
    elif habit in ("quotes, then judges", "judges, then quotes", "says it otherwise") and schema == "none":
        assert outcomes["fail"] >= len(ATTACKS) // 2, rows(folder, "select * from verdicts where outcome = 'error'")
    else:
        assert (
            outcomes["error"] >= len(ATTACKS) - 1
        )  # one that also forges a `fail` cannot be distinguished from a judge
    assert "\x1b" not in done.out


ATTACKER = """import json
from pathlib import Path

ATTACKS = json.loads(Path(__file__).with_name("attacks.json").read_text())


def answer(case_id):
    return ATTACKS[int(case_id.split("-")[1]) - 1]
"""


# -- out of order


class Court:
    """A task's model and a judge on one server; the judge can be down."""

    def __init__(self) -> None:
        self.down: Act | None = None
        self.served = 0
        self.dies_after: int | None = None
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Act:
        if asked.model != "judge-1":
            return OPENAI.right(asked)
        with self._lock:
            self.served += 1
            down = self.down if self.dies_after is None or self.served > self.dies_after else None
        return down or OPENAI.answer(said("pass" if "billing" in graded_text(asked) else "fail"))


def court(folder: Path, port: int, *, cases: int, model: str = "strong") -> Path:
    models = {"small": OPENAI.config(port, model="task-1"), "strong": OPENAI.config(port, model="judge-1")}
    folder = workspace(folder, models, {"justice": f'model = "strong"\n{QUICK}'}, cases=cases)
    (folder / "evals/triage.yaml").write_text(JUDGED % model)
    return folder


OUTAGES = {
    "overload": OPENAI.error("overload"),
    "reset": Act(how=How.RESET),
    "refused key": OPENAI.error("auth"),
    "no credit": OPENAI.error("quota"),
    "garbage": Act(body=b"<html>", content_type="text/html"),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_judges_outage_leaves_samples_ungraded_and_the_same_command_completes_them(
    tmp_path: Path, outage: str
) -> None:
    cases, script = 30, Court()
    good = sum("billing" in label_of(str(number)) for number in range(1, cases + 1))
    with fault_server(script) as server:
        folder = court(tmp_path, server.port, cases=cases, model="justice")
        script.dies_after, script.down = 10, OUTAGES[outage]
        broken = here(folder, "run", "--json", "--concurrency", "4")
        task = server.count(model="task-1")
        assert (broken.exit, broken.result["status"], broken.result["samples"]) == (4, "complete", cases)
        assert (broken.result["ungraded"], task) == (cases - 10, cases)
        assert broken.result["bad"] + broken.result["good"] == 10
        assert {row["standing"] for row in rows(folder, _ERRED)} == {"ungraded"}

        script.down = None
        judged = server.count(model="judge-1")
        whole = here(folder, "run", "--json")
        assert server.count(model="task-1") == task
        assert server.count(model="judge-1") - judged == cases - 10

    assert (whole.exit, whole.result["good"], whole.result["ungraded"]) == (0, good, 0)
    assert (whole.result["cost_usd"], whole.result["attempts"]) == (0.0, 0)
    assert whole.result["judge_cost_usd"] == pytest.approx((cases - 10) * ANSWER_USD, rel=1e-9)


_ERRED = "select standing from samples s join verdicts v on v.sample_id = s.id where v.outcome = 'error'"


def test_judging_is_logged_and_priced_apart_and_a_second_run_asks_nobody(tmp_path: Path) -> None:
    cases = 12
    with fault_server(Court()) as server:
        folder = court(tmp_path, server.port, cases=cases)
        first = here(folder, "run", "--json").result
        asked = len(server.asked)
        second = here(folder, "run", "--json").result
        assert len(server.asked) == asked == 2 * cases

    assert first["cost_usd"] == pytest.approx(cases * ANSWER_USD)
    assert first["judge_cost_usd"] == pytest.approx(cases * ANSWER_USD)
    assert (second["cost_usd"], second["judge_cost_usd"]) == (0.0, 0.0)
    assert second["cached_cost_usd"] == pytest.approx(cases * ANSWER_USD)
    assert first["graders"] == second["graders"]
    bought = rows(
        folder, "select purpose, count(*) as n, sum(cost_usd) as usd from attempts group by purpose order by 1"
    )
    assert [(row["purpose"], row["n"]) for row in bought] == [("judge", cases), ("task", cases)]
    hits = rows(folder, "select purpose, sum(cache_hit) as n from calls group by purpose order by 1")
    assert [(row["purpose"], row["n"]) for row in hits] == [("judge", cases), ("task", cases)]


def test_a_judge_that_changed_is_asked_anew_and_the_graders_digest_says_so(tmp_path: Path) -> None:
    with fault_server(Court()) as server:
        folder = court(tmp_path, server.port, cases=6)
        before = here(folder, "run", "--json").result
        suite = folder / "evals/triage.yaml"
        suite.write_text(suite.read_text().replace("about money", "about gold"))
        after = here(folder, "run", "--json").result

    assert (server.count(model="task-1"), server.count(model="judge-1")) == (6, 12)
    changed = [part for part in before["fingerprint"] if before["fingerprint"][part] != after["fingerprint"][part]]
    assert changed == ["graders"]


def test_a_budget_holds_for_judges_and_the_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with fault_server(Court()) as server:
        folder = court(tmp_path, server.port, cases=20)
        plan = json.loads(here(folder, "run", "--dry-run", "--json").out)["plans"][0]
        stopped = here(folder, "run", "--json", "--budget", "0.0029", "--concurrency", "2")
        spent = stopped.result["cost_usd"] + stopped.result["judge_cost_usd"]
        assert (stopped.exit, stopped.result["status"]) == (4, "stopped")
        assert 0 < spent <= 0.0029
        whole = here(folder, "run", "--json")

    assert (whole.exit, whole.result["samples"], whole.result["ungraded"]) == (0, 20, 0)
    assert server.count(model="task-1") == server.count(model="judge-1") == 20
    everything: Any = rows(folder, "select sum(cost_usd) as usd from attempts")[0]["usd"]
    assert everything <= plan["once_usd"] <= plan["worst_case_usd"]
    assert 0 < plan["judges_usd"] < plan["worst_case_usd"]


def test_a_table_of_runs_says_what_judges_and_the_logs_answers_cost(tmp_path: Path) -> None:
    versions = ("run", "--prompt", "v1", "--prompt", "v2")
    with fault_server(Court()) as server:
        folder = court(tmp_path, server.port, cases=4)
        second = (folder / "prompts/triage/v1.prompt").read_text().replace("Sort the", "Sort this")
        (folder / "prompts/triage/v2.prompt").write_text(second)
        first, again = here(folder, *versions), here(folder, *versions)
    query = "select sum(cost_usd) filter (where purpose = 'task') as task, sum(cost_usd) as usd from attempts"
    (spent,) = rows(folder, query)
    task, judges = dollars(spent["task"]), dollars(spent["usd"] - spent["task"])

    assert f"spent  {task} · graders {judges}" in first.out.splitlines()
    assert f"spent  $0.00 · the log's answers cost {task} when they were bought" in again.out.splitlines()


def test_a_judge_without_a_price_cannot_be_bounded(tmp_path: Path) -> None:
    folder = court(tmp_path, 1, cases=1)
    config = folder / "evalh.toml"
    head, tail = config.read_text().split("[models.strong]")
    config.write_text(head + "[models.strong]" + tail.replace("price = {input = 0.25, output = 2.0}\n", "", 1))

    done = here(folder, "run", "--budget", "1")
    plan = json.loads(here(folder, "run", "--dry-run", "--json").out)["plans"][0]

    assert done.exit == 2
    assert "a budget in USD cannot bound 'strong': it has no price per token" in done.err
    assert plan["why_unknown"] == "a grader's calls have no cost limit: a price or max_tokens is missing"


def test_a_breaker_of_a_dead_judge_opens_and_does_not_end_the_run(tmp_path: Path) -> None:
    script = Court()
    script.down = OPENAI.error("overload")
    with fault_server(script) as server:
        folder = court(tmp_path, server.port, cases=60, model="justice")
        done = here(folder, "run", "--json", "--concurrency", "8")
        asked = server.count(model="judge-1")

    assert (done.exit, done.result["samples"], done.result["ungraded"]) == (4, 60, 60)
    assert asked < 60
    assert decisions(folder, "open")


# -- inside a route


DOUBTED = """model = "small"
cascade = {checks = ["schema", {self_consistency = {k = 2, path = "label"}}, {self_critique = {critics = 2}}], \
escalate_to = "strong"}"""


def doubtful(asked: Asked) -> Act:
    """The cheap model is unsure of every third case: its samples differ, its critics disagree."""
    if asked.model == "strong-1":
        return OPENAI.right(asked)
    unsure = int(asked.case[2:]) % 3 == 0
    if "Audit it." in asked.document["messages"][-1]["content"]:
        audit = {"assumed": "-", "wrong_if": "-", "reason": "I checked it.", "agree": not unsure}
        return OPENAI.answer(json.dumps(audit))
    warm = asked.document.get("temperature", 0) > 0
    return OPENAI.answer(json.dumps({"label": "bug" if unsure and warm else "billing"}))


def test_checks_that_ask_are_task_spend_in_a_cascade_and_are_never_asked_twice(tmp_path: Path) -> None:
    cases, doubted = 30, 10
    with fault_server(doubtful) as server:
        models = {name: OPENAI.config(server.port, model=f"{name}-1") for name in ("small", "strong")}
        folder = workspace(tmp_path, models, {"careful": DOUBTED}, cases=cases)
        plan = json.loads(here(folder, "run", "--dry-run", "--json", "--model", "careful").out)["plans"][0]
        first = here(folder, "run", "--json", "--model", "careful").result
        asked = len(server.asked)
        second = here(folder, "run", "--json", "--model", "careful").result
        assert len(server.asked) == asked == cases * 5 + doubted

    assert first["cost_usd"] == pytest.approx(asked * ANSWER_USD, rel=1e-9)
    assert first["judge_cost_usd"] == second["cost_usd"] == 0.0
    assert second["cached_cost_usd"] == pytest.approx(asked * ANSWER_USD, rel=1e-9)
    assert asked * ANSWER_USD < plan["worst_case_usd"]
    assert len(decisions(folder, "escalate")) == doubted
    checks = rows(
        folder, "select check_name, outcome, avg(score) as score from escalations group by 1, 2 order by 1, 2"
    )
    assert [(row["check_name"], row["outcome"], row["score"]) for row in checks] == [
        ("schema", "pass", 1.0),
        ("self_consistency", "fail", 0.0),
        ("self_consistency", "pass", 1.0),
        ("self_critique", "fail", 0.25),
        ("self_critique", "pass", 0.75),
    ]
    bought = rows(folder, "select purpose, count(*) as n from attempts group by purpose order by 1")
    assert {row["purpose"]: row["n"] for row in bought} == {"critique": 60, "sample": 60, "task": 40}


def test_a_check_that_asks_the_route_that_it_checks_is_refused(tmp_path: Path) -> None:
    circle = 'model = "small"\ncascade = {checks = [{self_critique = {model = "careful"}}], escalate_to = "small"}'
    folder = workspace(tmp_path, {"small": OPENAI.config(1)}, {"careful": circle}, cases=1)

    done = here(folder, "run", "--model", "careful")

    assert done.exit == 2
    assert "a check asks its own route: careful → careful" in done.err


@pytest.mark.slow
@pytest.mark.model
def test_the_embedded_model_judges_within_the_grammar_of_the_scale(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=1)
    config = folder / "evalh.toml"
    local = 'provider = "local"\nmodel = "smollm2-135m-instruct"\n'
    config.write_text(f"{config.read_text()}[models.strong]\n{local}")
    judge = "{rubric: It is JSON., scale: 1-5, pass_mark: 3, model: strong, max_tokens: 200, required: false}"
    (folder / "evals/triage.yaml").write_text(
        JUDGED.replace("{rubric: It is about money., scale: pass/fail, model: %s}", judge)
    )
    first = here(folder, "run", "--json").result
    again = here(folder, "run", "--json").result

    said = rows(folder, "select text, finish from attempts where purpose = 'judge'")
    assert len(said) == 1
    for one in said:
        if one["finish"] == "stop":
            reply = json.loads(one["text"])
            assert list(reply) == ["reason", "score"]
            assert reply["score"] in range(1, 6)
    assert first["graders"] == again["graders"]
    judged = first["graders"][1]
    whole = sum(one["finish"] == "stop" for one in said)
    assert judged["pass"] + judged["fail"] <= whole
    assert judged["error"] >= 1 - whole
