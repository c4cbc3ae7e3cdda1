"""What the viewer's pages write: labels and cases, only where that was switched on, only for its own pages."""

import json
import re
from pathlib import Path

import pytest

from command_line import command_line
from evalh.api.workspace import Workspace
from evalh_trace.records import Attempt, Call, Workflow
from faults.running import here
from viewing import Viewer, viewing
from workspaces import write_workspace

AT = 1_785_233_700.0
TICKET = "I am ada@lovelace.org and was charged twice for order 12"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_workspace(tmp_path, cases=6)
    assert here(tmp_path, "run").exit == 0
    return tmp_path


@pytest.fixture
def traced(folder: Path) -> Path:
    return _traced(folder)


def _traced(folder: Path) -> Path:
    said = [
        {"role": "system", "parts": ["Sort the ticket. Answer with JSON."]},
        {"role": "user", "parts": [TICKET]},
    ]
    told = '{"label": "bug"}'
    with Workspace.open(folder).production_writer() as production:
        production.write(
            [
                Workflow(
                    id="w-1",
                    name="triage",
                    door="trace",
                    started_at=AT,
                    status="ok",
                    inputs={"ticket": TICKET},
                    output={"label": "bug"},
                ),
                Call(id="c-1", workflow_id="w-1", started_at=AT, messages=said, answered_by="c-1.1"),
                Attempt(id="c-1.1", workflow_id="w-1", call_id="c-1", status="ok", text=told),
                Workflow(id="w/2 <b>", name="<b>", door="trace", started_at=AT, status="error"),
            ]
        )
    return folder


def fields(viewer: Viewer, path: str) -> dict[str, str]:
    """Return the hidden fields of the form on a page."""
    page = viewer.get(path).text
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))


def labels(folder: Path, author: str = "ada") -> list[dict[str, object]]:
    file = folder / f"datasets/labels/triage/{author}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_label_is_written_where_evalh_label_writes_it_and_the_next_is_shown(folder: Path) -> None:
    with viewing(folder, author="ada") as viewer:
        first = fields(viewer, "label/triage")
        done = viewer.post("label/triage", {**first, "says": "bad", "note": "it is  a\nbill"})
        second = fields(viewer, "label/triage")
        viewer.post("label/triage", {**second, "says": "good"})
        page = viewer.get(f"label/{done.headers['location']}").text

    kept = labels(folder)
    assert done.status == 303
    assert not done.headers["location"].startswith(("/", "http"))
    assert "Written: bad." in page
    assert [row["good"] for row in kept] == [False, True]
    assert [row.get("note") for row in kept] == ["it is a bill", None]
    assert (kept[0]["case_digest"], kept[0]["output_digest"]) == (first["case"], first["output"])
    assert first != second
    told = here(folder, "label", "--status", "--author", "ada").out
    assert "2 of 6 distinct outputs are labelled" in told


def test_the_page_tells_neither_version_nor_model_nor_verdict(folder: Path) -> None:
    with viewing(folder, author="ada") as viewer:
        page = re.sub(
            r"<script.*?</script>|<style.*?</style>|<[^>]*>", " ", viewer.get("label/triage").text, flags=re.DOTALL
        )

    for told in ("v1", "small", "script-1", "expected", "r2026"):
        assert told not in page
    assert "order" in page


def test_an_answer_can_be_changed_and_an_output_skipped(folder: Path) -> None:
    with viewing(folder, author="ada") as viewer:
        first = fields(viewer, "label/triage")
        done = viewer.post("label/triage", {**first, "says": "bad"})
        (again,) = re.findall(
            r'href="(triage\?[^"]*again=[^"]*)"', viewer.get(f"label/{done.headers['location']}").text
        )
        assert fields(viewer, f"label/{again.replace('&amp;', '&')}")["output"] == first["output"]
        viewer.post("label/triage", {**first, "says": "good"})
        (skip,) = re.findall(r'href="(triage\?skip=[^"]*)"', viewer.get("label/triage").text)
        skipped = fields(viewer, "label/triage")["case"]
        assert fields(viewer, f"label/{skip.replace('&amp;', '&')}")["case"] != skipped

    kept = labels(folder)
    assert [row["good"] for row in kept] == [False, True]  # the newer counts
    assert "1 of 6 distinct outputs" in here(folder, "label", "--status", "--author", "ada").out


def test_when_all_is_labelled_the_page_says_so(folder: Path) -> None:
    with viewing(folder, author="ada") as viewer:
        for _ in range(6):
            viewer.post("label/triage", {**fields(viewer, "label/triage"), "says": "good"})
        page = viewer.get("label/triage").text

    assert len(labels(folder)) == 6
    assert "triage: nothing left to label" in page


def test_the_page_of_one_grader_ends_with_a_command_that_is_understood(folder: Path) -> None:
    with viewing(folder, author="ada") as viewer:
        for _ in range(6):
            viewer.post("label/triage", {**fields(viewer, "label/triage?about=equals"), "says": "good"})
        page = viewer.get("label/triage?about=equals").text

    (command,) = re.findall("<pre>evalh (calibrate [^<]*)</pre>", page)
    assert here(folder, *command.split()).exit == 0


def test_without_the_switch_nothing_is_written_and_the_page_says_how(traced: Path) -> None:
    with viewing(traced) as viewer:
        pages = [viewer.get(path) for path in ("label", "label/triage", "production/w-1/case?suite=triage")]
        done = viewer.post("label/triage", {"says": "good"})

    assert [page.status for page in pages] == [403] * 3
    assert all("evalh view --label" in page.text for page in pages)
    assert done.status == 405
    assert labels(traced) == []


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ((), None),
        ((), "null"),
        ((), "http://evil.example"),
        ((), "http://127.0.0.1:1"),
        (("Sec-Fetch-Site: cross-site",), "own"),
        (("Sec-Fetch-Site: same-site",), "own"),
        (("Sec-Fetch-Site: none",), "own"),
    ],
)
def test_a_form_of_another_page_writes_nothing(folder: Path, headers: tuple[str, ...], origin: str | None) -> None:
    with viewing(folder, author="ada") as viewer:
        form = {**fields(viewer, "label/triage"), "says": "good"}
        done = viewer.post("label/triage", form, *headers, origin=origin)

    assert done.status == 403
    assert labels(folder) == []


def test_without_the_token_a_form_finds_nothing(folder: Path) -> None:
    with viewing(folder, author="ada") as viewer:
        form = {**fields(viewer, "label/triage"), "says": "good"}
        done = viewer.post(f"../{'x' * 43}/label/triage", form)

    assert done.status == 404
    assert labels(folder) == []


def test_forms_that_cannot_be_read_are_refused_in_words(folder: Path) -> None:
    with viewing(folder, author="ada") as viewer:
        form = fields(viewer, "label/triage")
        many = {f"f{number}": "" for number in range(40)}
        told = {
            "no answer": viewer.post("label/triage", form),
            "another answer": viewer.post("label/triage", {**form, "says": "yes"}),
            "a long note": viewer.post("label/triage", {**form, "says": "good", "note": "x" * 2001}),
            "another output": viewer.post("label/triage", {**form, "output": "sha256:x", "says": "good"}),
            "another suite": viewer.post("label/other", {**form, "says": "good"}),
            "another grader": viewer.post("label/triage", {**form, "about": "nobody", "says": "good"}),
            "a big form": viewer.post("label/triage", {**form, "says": "good", "note": "x" * 400_000}),
            "many fields": viewer.post("label/triage", {**form, **many}),
            "JSON": viewer.post("label/triage", form, "Content-Type: application/json"),
            "elsewhere": viewer.post("", form),
        }

    assert {name: got.status for name, got in told.items()} == {
        "no answer": 422,
        "another answer": 422,
        "a long note": 422,
        "another output": 422,
        "another suite": 422,
        "another grader": 422,
        "a big form": 413,
        "many fields": 400,
        "JSON": 415,
        "elsewhere": 404,
    }
    assert "good or bad?" in told["no answer"].text
    assert labels(folder) == []


def test_a_workflow_becomes_the_row_that_dataset_add_writes(traced: Path) -> None:
    with viewing(traced, author="ada") as viewer:
        assert 'href="w-1/case"' in viewer.get("production/w-1").text
        assert 'href="case?suite=triage"' in viewer.get("production/w-1/case").text
        page = viewer.get("production/w-1/case?suite=triage").text
        done = viewer.post("production/w-1/case", {"suite": "triage", "expected": '{"label": "billing"}'})
        twice = viewer.post("production/w-1/case", {"suite": "triage", "expected": '{"label": "billing"}'})

    row = json.loads((traced / "datasets/triage.jsonl").read_text().splitlines()[-1])
    assert "1 email: replaced by made-up values of the same kind" in page
    assert "ada@lovelace.org" not in page
    assert done.status == 200
    assert "the recorded answer fails equals" in done.text
    assert row == {
        "id": "incident-w-1",
        "inputs": {"ticket": "I am person1@example.com and was charged twice for order 12"},
        "expected": {"label": "billing"},
        "tags": ["incident"],
        "source": {"workflow": "w-1", "at": "2026-07-28T10:15:00Z", "version": "triage@v1"},
    }
    assert twice.status == 422
    assert "has these inputs already" in twice.text
    assert command_line()(traced, "check").code == 0


def test_a_case_is_made_before_anything_was_run(tmp_path: Path) -> None:
    write_workspace(tmp_path, cases=6)
    with viewing(_traced(tmp_path), author="ada") as viewer:
        assert 'href="case?suite=triage"' in viewer.get("production/w-1/case").text
        done = viewer.post("production/w-1/case", {"suite": "triage", "expected": '{"label": "billing"}'})
        labels = viewer.get("label/triage")

    assert done.status == 200
    assert '"incident-w-1"' in (tmp_path / "datasets/triage.jsonl").read_text()
    assert labels.status == 404
    assert "no runs yet" in labels.text


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"suite": "triage"}, "compares with what is expected"),
        ({"suite": "triage", "expected": "billing"}, "what is expected is not JSON"),
        ({"suite": "other", "expected": "1"}, "other"),
        ({"expected": "1"}, "suite"),
    ],
)
def test_a_case_that_cannot_be_made_is_told_and_nothing_is_written(
    traced: Path, form: dict[str, str], said: str
) -> None:
    before = (traced / "datasets/triage.jsonl").read_bytes()
    with viewing(traced, author="ada") as viewer:
        done = viewer.post("production/w-1/case", form)

    assert done.status == 422
    assert said in done.text
    assert (traced / "datasets/triage.jsonl").read_bytes() == before


def test_a_workflow_of_any_name_is_asked_for_and_runs_nothing(traced: Path) -> None:
    with viewing(traced, author="ada") as viewer:
        page = viewer.get("production/w%2F2%20%3Cb%3E/case")
        form = viewer.get("production/w%2F2%20%3Cb%3E/case?suite=triage")
        none = viewer.get("production/nobody/case?suite=triage")

    assert page.status == 200
    assert "<b>" not in page.text.replace("<b>evalh</b>", "")
    assert form.status == 503  # nothing of it was recorded
    assert none.status == 404
