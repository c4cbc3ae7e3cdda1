"""What production answered is judged by a suite; no model is asked for the task."""

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from evalh.analysis.production import Weighed, change_of, rate_of
from evalh.api.workspace import Workspace
from evalh.core.case import Case
from evalh.core.run import RunKind
from evalh.core.sample import Sample, Standing
from evalh_trace.records import AnyRecord, Attempt, Call, Feedback, Workflow
from workspaces import document, evalh

NOW = 1_800_000_000.0
PROMPT = """---
output:
  format: json
  schema: {label(enum): [billing, bug]}
---
{{role "system"}}
Sort the ticket, VERSION.
{{role "user"}}
{{ticket}}
"""
SUITE = """prompt: triage
dataset: triage
model: small
graders:
  - schema
  - equals: {path: label, expected: label}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    texts = {
        "evalh.toml": '[models.small]\nprovider = "openai"\nmodel = "test-1"\nbase_url = "http://127.0.0.1:1/v1"\n',
        "prompts/triage/v1.prompt": PROMPT.replace("VERSION", "please"),
        "prompts/triage/v2.prompt": PROMPT.replace("VERSION", "at once"),
        "evals/triage.yaml": SUITE,
        "datasets/triage.jsonl": '{"id": "t-1", "inputs": {"ticket": "x"}, "expected": {"label": "bug"}}\n',
    }
    for path, text in texts.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return Workspace.open(tmp_path)


def asked(number: int, answer: str, version: str = "at once", **fields: Any) -> list[AnyRecord]:
    """Return a workflow with a call that somebody rendered, and its answer."""
    name, cost = f"w-{number}", fields.pop("cost_usd", 0.001)
    messages = [
        {"role": "system", "parts": [f"Sort the ticket, {version}."]},
        {"role": "user", "parts": [f"ticket {number}"]},
    ]
    return [
        Workflow(**{"id": name, "name": "app", "door": "trace", "started_at": NOW + number, "status": "ok", **fields}),
        Call(id=f"{name}.c", workflow_id=name, messages=messages, settings={"model": "m"}, attempts=1),
        Attempt(id=f"{name}.a", workflow_id=name, call_id=f"{name}.c", status="ok", text=answer, cost_usd=cost),
    ]


def write(workspace: Workspace, *groups: list[AnyRecord]) -> None:
    with workspace.production_writer() as production:
        production.write(record for group in groups for record in group)


def grade(workspace: Workspace, *options: str, code: int = 0) -> dict[str, Any]:
    done = evalh(workspace.root, "grade", "triage", "--production", "--json", *options)
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


GOOD, BAD = '{"label": "bug"}', "I think it is a bug"


def test_calls_count_for_the_version_whose_template_their_messages_fit(workspace: Workspace) -> None:
    write(workspace, *(asked(number, GOOD if number % 4 else BAD) for number in range(8)))
    write(workspace, *(asked(100 + number, GOOD, version="please") for number in range(3)))
    write(workspace, asked(200, GOOD, version="as a favour"))
    found = grade(workspace)
    versions = {one["version"]: one for one in found["versions"]}
    assert (versions["triage@v2"]["good"], versions["triage@v2"]["bad"]) == (6, 2)
    assert (versions["triage@v1"]["good"], versions["triage@v1"]["bad"]) == (3, 0)
    assert found["left_out"] == {"have calls that fit no version of triage": 1}
    assert found["without_gold"] == ["equals"]
    assert found["whole"]["cost_usd"] == pytest.approx(0.011)


def test_answers_and_verdicts_are_in_the_log_and_cost_it_nothing(workspace: Workspace) -> None:
    write(workspace, *(asked(number, GOOD if number else BAD) for number in range(3)))
    (version,) = grade(workspace)["versions"]
    log = Workspace.open(workspace.root).log
    assert log.run(version["run"]).record.kind is RunKind.PRODUCTION
    _, rows = log.query("select case_id, output, reasons from failures")
    ((case, output, reasons),) = rows
    assert (case, output) == ("w-0.c", BAD)
    assert "schema" in reasons
    assert list(log.query("select sum(cost_usd) from attempts")[1]) == [(0.0,)]
    assert list(log.query("select count(*) from runs where kind = 'run'")[1]) == [(0,)]


def test_what_is_forgotten_leaves_no_byte_of_its_graded_copy_and_the_rate_stays(workspace: Workspace) -> None:
    write(workspace, *(asked(number, BAD if number else "only ann says this", user="ann") for number in range(2)))
    write(workspace, asked(9, GOOD, user="bob"))
    (version,) = grade(workspace)["versions"]
    assert evalh(workspace.root, "trace", "forget", "--user", "ann").returncode == 0
    files = b"".join(file.read_bytes() for file in (workspace.root / ".evalh").rglob("*") if file.is_file())
    for content in (b"only ann says this", b"ticket 0", b"ticket 1"):
        assert content not in files
    assert b"ticket 9" in files
    log = Workspace.open(workspace.root).log
    assert list(log.query("select standing, count(*) from samples group by 1")[1]) == [("bad", 2), ("good", 1)]
    shown = evalh(workspace.root, "show", version["run"])
    assert shown.returncode == 0, shown.stderr
    assert grade(workspace)["whole"]["answers"] == 1


def test_a_second_look_asks_and_stores_no_answer_again(workspace: Workspace) -> None:
    write(workspace, *(asked(number, GOOD) for number in range(3)))
    first, second = grade(workspace), grade(workspace)
    assert first["whole"]["good"] == second["whole"]["good"] == 3
    assert list(Workspace.open(workspace.root).log.query("select count(*) from attempts")[1]) == [(3,)]


def test_a_workflow_called_like_the_prompt_is_judged_by_its_inputs_and_output(workspace: Workspace) -> None:
    own = Workflow(id="w", name="triage", door="trace", started_at=NOW, inputs={"ticket": "x"}, output={"label": "bug"})
    write(workspace, [own])
    assert grade(workspace)["whole"]["good"] == 1


def test_a_rate_below_the_bar_is_exit_1_and_says_so(workspace: Workspace) -> None:
    write(workspace, *(asked(number, BAD) for number in range(4)), asked(9, GOOD))
    done = evalh(workspace.root, "grade", "triage", "--production", "--at-least", "0.9")
    assert done.returncode == 1
    assert "no: 20.0 % of production's answers are good, at least 90 % required" in done.stderr


def test_too_many_ungraded_answers_are_exit_4_and_said(workspace: Workspace) -> None:
    (workspace.root / "own.py").write_text('def judge(ctx):\n    raise ValueError("broken")\n')
    (workspace.root / "evals/triage.yaml").write_text(f"{SUITE}  - python: own.py:judge\n")
    write(workspace, *(asked(number, GOOD) for number in range(3)), asked(9, BAD))

    done = evalh(workspace.root, "grade", "triage", "--production")

    assert done.returncode == 4
    assert "not measured: 3 of 4 answers are ungraded, and the suite allows 2 % (max_ungraded)" in done.stderr


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([], "no workflows are traced yet"),
        ([Workflow(id="w", name="other", door="trace", started_at=NOW)], "1 are about something else"),
        ([Workflow(id="w", name="triage", door="trace", started_at=NOW)], "1 have no content"),
        (asked(1, GOOD, version="no"), "1 have calls that fit no version of triage"),
    ],
)
def test_where_nothing_can_be_judged_it_is_said_why(workspace: Workspace, records: list[AnyRecord], told: str) -> None:
    if records:
        write(workspace, records)
    done = evalh(workspace.root, "grade", "triage", "--production")
    assert done.returncode == 2
    assert told in done.stderr


def test_a_suite_whose_graders_all_need_gold_is_refused_at_its_line(workspace: Workspace) -> None:
    path = workspace.root / "evals/triage.yaml"
    path.write_text(SUITE.replace("  - schema\n", ""))
    write(workspace, asked(1, GOOD))
    done = evalh(workspace.root, "grade", "triage", "--production")
    assert done.returncode == 2
    assert "evals/triage.yaml" in done.stderr
    assert "needs gold, and production has no gold" in done.stderr


def test_a_window_before_is_compared_unpaired(workspace: Workspace) -> None:
    write(workspace, *(asked(number, GOOD) for number in range(60)))
    write(workspace, *(asked(10_000 + number, BAD if number % 2 else GOOD) for number in range(60)))
    found = grade(workspace, "--since", "2027-01-15T10:00:00Z", "--against", "2027-01-01")
    change = found["change"]
    assert (change["base"]["good"], change["head"]["good"]) == (60, 30)
    assert change["difference"]["value"] == pytest.approx(-0.5)
    assert change["difference"]["high"] < -0.3
    assert change["cost_p_value"] < 0.01


def test_messages_that_lie_are_left_out_and_nothing_breaks(workspace: Workspace) -> None:
    write(workspace, asked(1, GOOD))
    for number, messages in enumerate([7, "x", [7], [{}], [{"role": "user"}], [{"role": 1, "parts": 7}], [[[]]]]):
        _, call, attempt = asked(10 + number, GOOD)
        write(workspace, [asked(10 + number, GOOD)[0], Call(**{**_fields(call), "messages": messages}), attempt])
    assert grade(workspace)["whole"]["answers"] == 1


def _fields(record: AnyRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def test_a_judge_is_held_beside_users_votes_which_are_no_sample(workspace: Workspace) -> None:
    write(workspace, *(asked(number, BAD if number in (1, 2, 3) else GOOD) for number in range(40)))
    votes = {0: True, 1: False, 2: True, 4: False, 5: True}
    write(workspace, [Feedback(id=f"f-{n}", workflow_id=f"w-{n}", at=NOW, good=good) for n, good in votes.items()])
    torn = [Feedback(id=f"t-{good}", workflow_id="w-7", at=NOW, good=good) for good in (True, False)]
    write(workspace, [*torn, Feedback(id="c", workflow_id="w-8", at=NOW, kind="copied")])
    refused = evalh(workspace.root, "calibrate", "schema", "--against", "feedback")
    assert (refused.returncode, "evalh grade triage --production" in refused.stderr) == (2, True)
    grade(workspace)
    found = document(evalh(workspace.root, "calibrate", "schema", "--against", "feedback", "--json"))
    assert (found["workflows"], found["voted"], found["torn"], found["judged"], found["both"]) == (40, 6, 1, 40, 5)
    assert found["confusion"] == {"both_good": 2, "judge_only": 1, "people_only": 1, "both_bad": 1}
    shown = evalh(workspace.root, "calibrate", "schema", "--against", "feedback").stdout
    assert "users who voted: 6 of 40 workflows; they do not represent all users, and votes are never gold" in " ".join(
        shown.split()
    )


def voted(number: int, *good: bool) -> list[AnyRecord]:
    """Return users' votes of a workflow."""
    return [
        Feedback(id=f"f-{number}-{place}", workflow_id=f"w-{number}", at=NOW, good=one)
        for place, one in enumerate(good)
    ]


def test_the_rate_is_split_by_what_users_said_and_beside_the_whole(workspace: Workspace) -> None:
    write(workspace, *(asked(number, GOOD) for number in range(4)), *(asked(number, BAD) for number in (4, 5)))
    write(workspace, voted(0, True), voted(1, True, False), voted(4, False))

    found = grade(workspace)

    counted = {said: (one["answers"], one["good"], one["bad"]) for said, one in found["by_feedback"].items()}
    assert counted == {"good": (1, 1, 0), "bad": (2, 1, 1), "none": (3, 2, 1)}
    assert (found["whole"]["answers"], found["whole"]["good"]) == (6, 4)
    shown = evalh(workspace.root, "grade", "triage", "--production", env={**os.environ, "COLUMNS": "100"}).stdout
    assert "voted bad" in shown
    assert "users who vote do not represent those who do not" in shown


def test_the_parts_are_weighted_as_the_whole_is(workspace: Workspace) -> None:
    write(workspace, asked(0, GOOD, probability=0.1, kept="rate"), asked(1, BAD, kept="feedback"), voted(1, False))

    found = grade(workspace)["by_feedback"]

    assert {said: one["stands_for"] for said, one in found.items()} == {"bad": 1.0, "none": 10.0}


@pytest.mark.parametrize(("said", "answers"), [("good", 1), ("bad", 2), ("none", 3)])
def test_only_workflows_of_which_users_said_so_are_judged(workspace: Workspace, said: str, answers: int) -> None:
    write(workspace, *(asked(number, GOOD) for number in range(6)))
    write(workspace, voted(0, True), voted(1, True, False), voted(4, False))

    found = grade(workspace, "--feedback", said)

    assert found["whole"]["answers"] == answers
    drawn = grade(workspace, "--feedback", said, "--sample", "1")
    assert drawn["whole"]["answers"] == 1


def test_where_nobody_voted_nothing_is_split_and_a_filter_says_so(workspace: Workspace) -> None:
    write(workspace, asked(0, GOOD))

    assert grade(workspace)["by_feedback"] == {}
    done = evalh(workspace.root, "grade", "triage", "--production", "--feedback", "bad")
    assert done.returncode == 2
    assert "nothing of production of which users said bad can be graded" in done.stderr


def test_answers_of_which_users_said_bad_are_put_before_a_person_and_are_not_gold(workspace: Workspace) -> None:
    write(workspace, *(asked(number, GOOD) for number in range(6)))
    write(workspace, voted(0, True), voted(4, False))
    arguments = ("triage", "--production", "--feedback", "bad", "--author", "ada")
    before = evalh(workspace.root, "label", *arguments)
    grade(workspace)

    status = document(evalh(workspace.root, "label", *arguments, "--json"))
    work = Workspace.open(workspace.root).label("triage", author="ada", production=True, feedback="bad")
    (question,) = work.questions(20)
    work.answer(question, good=False, note=None)
    everything = Workspace.open(workspace.root).label("triage", author="ada", production=True)
    alone = evalh(workspace.root, "label", "triage", "--feedback", "bad", "--author", "ada")

    assert before.returncode == 2
    assert "evalh grade triage --production" in before.stderr
    assert status["outputs"] == 1
    assert question.case.inputs == {"ticket": "ticket 4"}
    assert {one.stratum for one in everything.candidates} == {"good, good", "good, bad", "good, none"}
    assert alone.returncode == 2
    assert "--feedback needs --production" in alone.stderr


def weighed(good: bool, weight: float, session: str) -> Weighed:
    standing = Standing.GOOD if good else Standing.BAD
    sample = Sample(case=Case(session, {}), case_index=0, trial=0, standing=standing, verdicts=(), call_id="")
    return Weighed(sample, weight, session, 0.001)


def _covers(rng: random.Random, error_rate: float, share: float, workflows: int) -> bool:
    """Keep all failures and a share of the rest, as sampling does; whether the interval covers the true rate."""
    kept = []
    for number in range(workflows):
        good = rng.random() >= error_rate
        if not good or rng.random() < share:
            kept.append(weighed(good, 1 / share if good else 1.0, str(number)))
    estimate = rate_of("v", None, kept).good_rate
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= 1 - error_rate <= estimate.high


@pytest.mark.slow
@pytest.mark.parametrize(("error_rate", "share"), [(0.05, 0.01), (0.2, 0.05), (0.01, 0.02), (0.5, 0.1)])
def test_a_sample_of_all_failures_and_some_of_the_rest_gives_the_true_rate_within_its_interval(
    error_rate: float, share: float
) -> None:
    rng = random.Random(7)
    covered = sum(_covers(rng, error_rate, share, 10_000) for _ in range(300))
    assert covered >= 300 * 0.93


@pytest.mark.slow
def test_equal_windows_differ_in_one_of_twenty() -> None:
    rng = random.Random(11)

    def window() -> list[Weighed]:
        sessions = [(str(number), rng.betavariate(6, 2)) for number in range(60)]
        return [weighed(rng.random() < rate, 1.0, name) for name, rate in sessions for _ in range(rng.randint(1, 4))]

    shown = costly = 0
    for _ in range(150):
        base, head = window(), window()
        change = change_of((rate_of("b", None, base), base), (rate_of("h", None, head), head))
        assert change.difference.low is not None
        assert change.difference.high is not None
        assert change.cost_p_value is not None
        shown += change.difference.low > 0 or change.difference.high < 0
        costly += change.cost_p_value <= 0.05
    assert shown <= 150 * 0.1
    assert costly <= 150 * 0.1
