"""`evalh dataset add`: from a recorded failure to a row that is red."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from select import select
from typing import Any

import pytest

from command_line import Done, command_line
from evalh.api.workspace import Workspace
from evalh_trace.records import AnyRecord, Attempt, Call, Feedback, Step, Workflow
from evalh_trace.values import cut_note
from stepping import StepServer, step_server, write_pipeline
from workspaces import write_workspace

AT = 1_785_233_700.0
TICKET = "I am ada@lovelace.org and was charged twice for order 12"
GOOD = ("--expected", '{"label": "billing"}')


def add(folder: Path, *arguments: str, stdin: str = "", suite: str = "triage") -> Done:
    typed = ["dataset", "add", suite, *arguments]
    if not stdin:
        return command_line().run(typed, cwd=str(folder))
    command = [sys.executable, "-m", "evalh", *typed]
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, text=True, timeout=120, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def write(folder: Path, *records: AnyRecord) -> None:
    with Workspace.open(folder).production_writer() as production:
        production.write(records)


def workflow(id_: str = "w-1", **fields: Any) -> Workflow:
    return Workflow(**{"id": id_, "name": "triage", "door": "trace", "started_at": AT, "status": "ok", **fields})


def call(name: str, text: str, *, ticket: str = TICKET, **fields: Any) -> list[AnyRecord]:
    workflow_id = fields.pop("workflow_id", "w-1")
    said = [
        {"role": "system", "parts": ["Sort the ticket. Answer with JSON."]},
        {"role": "user", "parts": [ticket]},
    ]
    return [
        Call(id=name, workflow_id=workflow_id, started_at=AT, messages=said, answered_by=f"{name}.1", **fields),
        Attempt(id=f"{name}.1", workflow_id=workflow_id, call_id=name, status="ok", text=text),
    ]


def last_row(folder: Path, dataset: str = "triage") -> dict[str, Any]:
    row: dict[str, Any] = json.loads((folder / f"datasets/{dataset}.jsonl").read_text().rstrip("\n").split("\n")[-1])
    return row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_workspace(tmp_path, cases=5)
    (tmp_path / "evals/answers.py").write_text(
        "import json\n\n\ndef answer(request, case_id, trial):\n"
        '    return json.dumps({"label": "billing" if trial == 2 else "bug"})\n'
    )
    return tmp_path


@pytest.fixture
def recorded(folder: Path) -> Path:
    write(folder, workflow(inputs={"ticket": TICKET}, output={"label": "bug"}), *call("c-1", '{"label": "bug"}'))
    return folder


def test_a_workflow_becomes_a_row_that_says_where_it_was_found(recorded: Path) -> None:
    before = (recorded / "datasets/triage.jsonl").read_bytes()

    done = add(recorded, "--from", "w-1", *GOOD)

    assert done.code == 0, done.err
    assert (recorded / "datasets/triage.jsonl").read_bytes().startswith(before)
    assert last_row(recorded) == {
        "id": "incident-w-1",
        "inputs": {"ticket": "I am person1@example.com and was charged twice for order 12"},
        "expected": {"label": "billing"},
        "tags": ["incident"],
        "source": {"workflow": "w-1", "at": "2026-07-28T10:15:00Z", "version": "triage@v1"},
    }
    assert command_line()(recorded, "check").code == 0


def test_red_is_shown_on_the_recorded_answer_and_nobody_is_asked(recorded: Path) -> None:
    (recorded / "evals/answers.py").write_text("def answer(request, case_id, trial):\n    raise SystemExit('asked')\n")

    done = add(recorded, "--from", "w-1", *GOOD)

    assert done.code == 0, done.err
    assert 'red       the recorded answer fails equals: label is "bug"; expected "billing"' in done.out


def test_an_answer_that_no_grader_finds_wrong_is_told_to_be_not_red(recorded: Path) -> None:
    done = add(recorded, "--from", "w-1", "--expected", '{"label": "bug"}')

    assert done.code == 0
    assert "not red   the recorded answer passes every grader" in done.out


def test_the_live_version_is_asked_as_often_as_told(recorded: Path) -> None:
    done = add(recorded, "--from", "w-1", *GOOD, "--trials", "5")

    assert done.code == 0, done.err
    assert "live      triage@v1 fails 4 of 5 (run r" in done.out


def test_a_row_is_told_before_the_live_version_is_asked(recorded: Path) -> None:
    config = (recorded / "evalh.toml").read_text().replace("evals/answers.py:answer", "evals/gone.py:answer")
    (recorded / "evalh.toml").write_text(config)

    done = add(recorded, "--from", "w-1", *GOOD, "--trials", "5")

    assert done.code == 2
    assert "added incident-w-1 to datasets/triage.jsonl:6" in done.out
    assert "evals/gone.py" in done.err


def test_a_suite_whose_gate_does_not_guard_incidents_is_told_how(recorded: Path) -> None:
    told = add(recorded, "--from", "w-1", *GOOD).err
    suite = recorded / "evals/triage.yaml"
    suite.write_text(suite.read_text() + "gate: {must_pass: {tags: [incident]}}\n")
    write(recorded, workflow("w-2", inputs={"ticket": "another"}, output="x"))

    assert "must_pass: {tags: [incident]} in the suite keeps it passing" in told
    assert "must_pass" not in add(recorded, "--from", "w-2", *GOOD).err


def test_the_document_holds_the_row_the_verdicts_and_the_trials(recorded: Path) -> None:
    document = add(recorded, "--from", "w-1", *GOOD, "--trials", "2", "--json").document

    (row,) = document["added"]
    assert (document["schema"], row["id"], row["line"]) == ("evalh.added/1", "incident-w-1", 6)
    assert (row["standing"], row["replaced"]) == ("bad", {"email": 1})
    assert [(one["grader"], one["outcome"]) for one in row["verdicts"]] == [("schema", "pass"), ("equals", "fail")]
    assert (row["live"]["trials"], row["live"]["bad"]) == (2, 2)


def test_without_what_is_expected_it_says_which_graders_need_it(recorded: Path) -> None:
    before = (recorded / "datasets/triage.jsonl").read_bytes()

    done = add(recorded, "--from", "w-1")

    assert done.code == 2
    assert done.err == (
        "error: equals compares with what is expected of w-1\n"
        '  --expected JSON, as in other rows of datasets/triage.jsonl; the recorded output: {"label": "bug"}\n'
    )
    assert (recorded / "datasets/triage.jsonl").read_bytes() == before


def test_a_suite_whose_graders_need_no_gold_takes_a_case_without_it(recorded: Path) -> None:
    (recorded / "evals/triage.yaml").write_text("prompt: triage\ndataset: triage\nmodel: small\ngraders: [schema]\n")

    assert add(recorded, "--from", "w-1").code == 0

    assert "expected" not in last_row(recorded)


def test_the_same_inputs_twice_are_refused_and_the_row_is_named(recorded: Path) -> None:
    add(recorded, "--from", "w-1", *GOOD)

    again = add(recorded, "--from", "w-1", *GOOD)

    assert again.code == 2
    assert "error: datasets/triage.jsonl:6: case 'incident-w-1' has these inputs already" in again.err
    assert len((recorded / "datasets/triage.jsonl").read_text().splitlines()) == 6


def test_cases_with_nearly_the_same_text_are_shown(recorded: Path) -> None:
    write(recorded, workflow("w-2", inputs={"ticket": TICKET.replace("12", "99")}, output='{"label": "bug"}'))
    add(recorded, "--from", "w-1", *GOOD)

    done = add(recorded, "--from", "w-2", *GOOD)

    assert "near      incident-w-1: nearly the same text" in done.out


def test_two_workflows_whose_ids_end_alike_have_ids_of_their_own(recorded: Path) -> None:
    write(recorded, workflow("w.1", inputs={"ticket": "another one"}, output="x"))

    add(recorded, "--from", "w-1", *GOOD)
    add(recorded, "--from", "w.1", *GOOD)

    assert last_row(recorded)["id"] == "incident-w-1-2"


# -- where inputs come from


def test_inputs_are_taken_from_the_step_of_a_call(folder: Path) -> None:
    write(
        folder,
        workflow(inputs={"request": "…"}),
        Step(id="s-1", workflow_id="w-1", name="sort", inputs={"ticket": "in the step"}),
        *call("c-1", '{"label": "bug"}', step_id="s-1"),
    )

    done = add(folder, "--from", "c-1", *GOOD)

    assert done.code == 0, done.err
    assert last_row(folder)["inputs"] == {"ticket": "in the step"}
    assert "inputs    the step sort" in done.out


def test_a_match_through_the_template_is_shown_and_taken_only_when_accepted(folder: Path) -> None:
    write(folder, workflow(), *call("c-1", '{"label": "bug"}', ticket="It broke."))

    offered = add(folder, "--from", "w-1", *GOOD)
    rows = len((folder / "datasets/triage.jsonl").read_text().splitlines())
    taken = add(folder, "--from", "w-1", *GOOD, "--accept-match")

    assert (offered.code, rows) == (2, 5)
    assert "inputs from the messages of c-1, read back through triage@v1:\n  ticket  It broke." in offered.err
    assert "--accept-match accepts them as shown" in offered.err
    assert taken.code == 0
    assert last_row(folder)["inputs"] == {"ticket": "It broke."}


def test_inputs_that_do_not_fit_are_refused_with_what_is_missing(folder: Path) -> None:
    write(folder, workflow(inputs={"tickets": ["x"]}))

    done = add(folder, "--from", "w-1", *GOOD)

    assert done.code == 2
    assert (
        "error: no recorded inputs of w-1 fit triage@v1\n  evalh show w-1   the workflow: ticket is missing (it has: tickets)"
        in done.err
    )


def test_inputs_of_the_wrong_type_are_refused(folder: Path) -> None:
    write(folder, workflow(inputs={"ticket": 5}))

    done = add(folder, "--from", "w-1", *GOOD)

    assert done.code == 2
    assert "the workflow: ticket: 5 is not of type" in done.err


def test_steps_whose_inputs_differ_are_not_chosen_between(folder: Path) -> None:
    steps = [Step(id=f"s-{n}", workflow_id="w-1", name=f"sort{n}", inputs={"ticket": f"t{n}"}) for n in (1, 2)]
    calls = [one for n in (1, 2) for one in call(f"c-{n}", "{}", step_id=f"s-{n}")]
    write(folder, workflow(), *steps, *calls)

    done = add(folder, "--from", "w-1", *GOOD)

    assert done.code == 2
    assert (
        "the inputs of several steps fit triage@v1: the step sort1, the step sort2\n  --from c-1   or one of: c-2"
        in (done.err)
    )


def test_a_sample_of_the_log_becomes_a_row_of_another_suite(recorded: Path) -> None:
    (recorded / "datasets/other.jsonl").write_text(
        '{"id": "o", "inputs": {"ticket": "x"}, "expected": {"label": "bug"}}\n'
    )
    (recorded / "evals/other.yaml").write_text(
        (recorded / "evals/triage.yaml").read_text().replace(": triage\nmodel", ": other\nmodel")
    )
    run = command_line()(recorded, "run", "triage", "--json").document["results"][0]["run"]

    done = add(recorded, "--from", f"{run}/t-0003/0", *GOOD, suite="other")

    assert done.code == 0, done.err
    row = last_row(recorded, "other")
    assert row["inputs"] == {"ticket": "order 3"}
    assert (row["source"]["sample"], row["source"]["version"]) == (f"{run}/t-0003/0", "triage@v1")
    assert "red       the recorded answer fails equals" in done.out


# -- content that lies


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("ticket", "what"),
    [("half \ud800", "surrogate"), ("<<<<<<< HEAD", None), ("\x00\x1b[2J\u2028", None)],
)
def test_a_recorded_text_never_breaks_the_dataset(folder: Path, ticket: str, what: str | None) -> None:
    before = (folder / "datasets/triage.jsonl").read_bytes()
    write(folder, workflow("w-\x1b[2J/../x", inputs={"ticket": ticket}, output="\x1b[2Jbug"))

    done = add(folder, "--from", "last", *GOOD)

    assert "Traceback" not in done.err
    assert "\x1b" not in done.out + done.err
    assert command_line()(folder, "check").code == 0
    if what is None:
        assert done.code == 0, done.err
        assert last_row(folder)["inputs"] == {"ticket": ticket}
    else:
        assert done.code == 2
        assert what in done.err
        assert (folder / "datasets/triage.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("inputs", "told"), [(nested(240), "[cut: too deep]"), (f"a{cut_note(10)}", "[cut: 10 bytes]")]
)
def test_inputs_that_were_cut_when_they_were_recorded_are_refused(folder: Path, inputs: object, told: str) -> None:
    (folder / "prompts/triage/v1.prompt").write_text("{{ticket}}\n")
    before = (folder / "datasets/triage.jsonl").read_bytes()
    write(folder, workflow(inputs={"ticket": inputs}, output="x"))

    done = add(folder, "--from", "w-1", *GOOD)

    assert done.code == 2, done.out
    assert f"the inputs are not whole where they were recorded ({told}); nothing was added" in done.err
    assert (folder / "datasets/triage.jsonl").read_bytes() == before


# -- pipelines


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[tuple[Path, StepServer]]:
    with step_server() as (server, port):
        folder = write_pipeline(tmp_path, port, cases=3)
        (folder / "prompts/refund/draft.pipeline.yaml").rename(folder / "prompts/refund/v1.pipeline.yaml")
        write(
            folder,
            workflow(
                name="refund",
                inputs={"email": "Where is order 77? Write to bob@x.org"},
                output="Your order 1077 is late",
            ),
            Step(id="s-1", workflow_id="w-1", name="extract", output={"order_id": 1077, "topic": "order"}),
            Step(
                id="s-2",
                workflow_id="w-1",
                name="order",
                kind="tool",
                output={"id": 1077, "state": "late", "of": "bob@x.org"},
            ),
            Step(id="s-3", workflow_id="w-1", name="reply", output="Your order 1077 is late"),
        )
        yield folder, server


def test_what_a_function_returned_comes_along_and_the_case_runs_without_the_database(
    pipeline: tuple[Path, StepServer],
) -> None:
    folder, server = pipeline
    done = add(folder, "--from", "w-1", "--expected", '{"says": "order 77 "}', suite="refund")
    (folder / ".evalh/production.db").unlink()
    (folder / "steps/orders.py").write_text("def find(order_id):\n    raise RuntimeError('asked')\n")

    ran = command_line()(folder, "run", "refund", "--case", "incident-w-1", "--json")

    assert done.code == 0, done.err
    assert last_row(folder, "refunds")["given"] == {"order": {"id": 1077, "state": "late", "of": "person1@example.com"}}
    assert last_row(folder, "refunds")["inputs"] == {"email": "Where is order 77? Write to person1@example.com"}
    assert "red       the recorded answer fails contains" in done.out
    assert ran.code == 0, ran.err
    assert server.count("reply") == 1


def test_a_function_that_was_handed_something_wrong_has_no_double_so_that_a_right_version_can_pass(
    pipeline: tuple[Path, StepServer],
) -> None:
    folder, _ = pipeline
    expected = '{"says": "order 77 ", "steps": {"extract": {"order_id": 77}}}'

    done = add(folder, "--from", "w-1", "--expected", expected, suite="refund")
    ran = command_line()(folder, "run", "refund", "--case", "incident-w-1", "--at-least", "1")

    assert "given" not in last_row(folder, "refunds")
    assert "note      order: extract should have given it something else, so the case calls it" in done.out
    assert ran.code == 0, ran.out


def test_a_double_behind_a_step_whose_gold_nobody_stated_is_told(pipeline: tuple[Path, StepServer]) -> None:
    folder, _ = pipeline

    unsaid = add(folder, "--from", "w-1", "--expected", '{"says": "order 1077 "}', suite="refund")

    assert "whatever its inputs are; if these were wrong, add expected.steps.extract" in unsaid.out
    assert "order" in last_row(folder, "refunds")["given"]


def test_a_function_that_returned_different_things_is_not_given(pipeline: tuple[Path, StepServer]) -> None:
    folder, _ = pipeline
    write(folder, Step(id="s-4", workflow_id="w-1", name="order", kind="tool", output={"id": 2}))

    done = add(folder, "--from", "w-1", "--expected", '{"says": "order 77 "}', suite="refund")

    assert "given" not in last_row(folder, "refunds")
    assert "note      order: several steps of this name returned different outputs" in done.out


# -- what users said


def vote(name: str, *, good: bool, at: float = AT + 10) -> Feedback:
    return Feedback(id=f"f-{name}-{good}", workflow_id=name, at=at, good=good, note="nonsense")


def test_a_thumb_down_alone_makes_no_case(recorded: Path) -> None:
    write(recorded, *(workflow(f"v-{n}", inputs={"ticket": f"ticket number {n}"}, output="x") for n in (1, 2, 3, 4)))
    write(recorded, *(vote(f"v-{n}", good=False, at=AT + n) for n in (1, 2, 3)), vote("v-4", good=True))

    done = add(recorded, "--feedback", "bad", stdin='g\ns\nb {"label": "billing"}\n')

    assert done.code == 0, done.err
    assert len((recorded / "datasets/triage.jsonl").read_text().splitlines()) == 6
    assert last_row(recorded)["inputs"] == {"ticket": "ticket number 1"}  # the newest vote comes first
    assert "3 of 3 workflows" in done.err
    assert "nonsense" in done.err


def test_a_workflow_that_is_a_case_already_is_not_asked_about_again(recorded: Path) -> None:
    write(recorded, vote("w-1", good=False))
    add(recorded, "--from", "w-1", *GOOD)

    done = add(recorded, "--feedback", "bad", stdin="b\n")

    assert done.code == 0
    assert "no workflow was voted bad" in done.err


def test_votes_before_a_date_are_not_asked_about(recorded: Path) -> None:
    write(recorded, vote("w-1", good=False))

    assert "no workflow was voted bad" in add(recorded, "--feedback", "bad", "--since", "2026-08-01").err
    assert "1 of 1 workflow" in add(recorded, "--feedback", "bad", "--since", "2026-07-01", stdin="q\n").err


def test_what_cannot_be_added_is_told_and_the_next_one_is_asked_about(recorded: Path) -> None:
    write(recorded, workflow("v-1"), vote("v-1", good=False, at=AT + 20), vote("w-1", good=False))

    done = add(recorded, "--feedback", "bad", stdin='b\nb {"label": "billing"}\n')

    assert done.code == 0
    assert "not added: no recorded inputs of v-1 fit triage" in done.err
    assert last_row(recorded)["id"] == "incident-w-1"


class Terminal:
    """`evalh dataset add` as a person at a terminal has it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execv(sys.executable, [sys.executable, "-m", "evalh", "dataset", "add", "triage", *arguments])
        self.said = ""

    def until(self, text: str) -> None:
        """Read until a text is there."""
        while text not in self.said:
            assert select([self._fd], [], [], 30)[0], self.said
            self.said += os.read(self._fd, 4096).decode("utf-8", "replace")

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def end(self) -> int:
        """Read to the end; return the exit code."""
        try:
            while select([self._fd], [], [], 30)[0] and (piece := os.read(self._fd, 4096)):
                self.said += piece.decode("utf-8", "replace")
        except OSError:  # the other side is closed
            pass
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def test_on_a_terminal_a_key_decides_and_the_recorded_output_is_there_to_edit(recorded: Path) -> None:
    write(recorded, vote("w-1", good=False))
    terminal = Terminal(recorded, "--feedback", "bad")

    terminal.until("q stop")
    terminal.type("b")
    terminal.until('expected, as JSON (equals): {"label": "bug"}')
    terminal.type("\x7f" * len('bug"}') + 'billing"}\n')

    assert terminal.end() == 0, terminal.said
    assert last_row(recorded)["expected"] == {"label": "billing"}
    assert "to datasets/triage.jsonl:6" in terminal.said


def test_on_a_terminal_a_match_is_asked_about(folder: Path) -> None:
    write(folder, workflow(), *call("c-1", '{"label": "bug"}', ticket="It broke."))
    terminal = Terminal(folder, "--from", "w-1", *GOOD)

    terminal.until("are these its inputs?")
    terminal.type("y\n")

    assert terminal.end() == 0, terminal.said
    assert last_row(folder)["inputs"] == {"ticket": "It broke."}


# -- wrong use


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((), "error: which failure?"),
        (("--from", "w-1", "--feedback", "bad"), "error: which failure?"),
        (("--from", "nobody", *GOOD), "error: no workflow, call or sample 'nobody'"),
        (("--from", "w-1", "--expected", "billing"), "error: what is expected is not JSON"),
        (("--from", "w-1", "--from", "w-2", *GOOD), "error: --expected needs one case"),
        (("--from", "w-1", "--since", "24h"), "error: --since needs --feedback"),
    ],
)
def test_wrong_use_is_refused_and_nothing_is_written(recorded: Path, arguments: tuple[str, ...], what: str) -> None:
    before = (recorded / "datasets/triage.jsonl").read_bytes()

    done = add(recorded, *arguments)

    assert done.code == 2
    assert done.err.startswith(what)
    assert (recorded / "datasets/triage.jsonl").read_bytes() == before


def test_a_dataset_of_csv_is_refused_with_a_reason(recorded: Path) -> None:
    (recorded / "datasets/triage.jsonl").unlink()
    (recorded / "datasets/triage.csv").write_text("id,ticket,expected.label\na,x,bug\n")

    done = add(recorded, "--from", "w-1", *GOOD)

    assert done.code == 2
    assert done.err.startswith("error: datasets/triage.csv: cases are added to JSON Lines only")


def test_a_last_line_without_its_end_is_not_torn(recorded: Path) -> None:
    file = recorded / "datasets/triage.jsonl"
    file.write_bytes(file.read_bytes().rstrip(b"\n"))

    assert add(recorded, "--from", "w-1", *GOOD).code == 0

    assert [json.loads(line)["id"] for line in file.read_text().splitlines()][-2:] == ["t-0005", "incident-w-1"]
