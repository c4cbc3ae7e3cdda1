"""What the viewer shows of production, over a real socket: the list, its filters, a workflow, a program that runs."""

import hashlib
import re
from pathlib import Path

import pytest

from evalh_trace.records import Attempt, Call, Feedback, Loss, Score, Step, Workflow, encode
from traced import BEGAN, every_kind, keep, refund
from viewing import Got, viewing
from workspaces import write_workspace

HOSTILE = "<img src=x onerror=alert(1)>\"'\x1b[2J\u202e"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = write_workspace(tmp_path)
    keep(folder, every_kind())
    return folder


def _ids(page: Got) -> list[str]:
    return re.findall(r'<th scope="row"><a href="production/([^"]*)"', page.text)


def _row(page: Got, workflow: str) -> list[str]:
    row = re.search(rf'<tr>(?:(?!<tr>).)*href="production/{workflow}".*?</tr>', page.text)
    assert row is not None
    return [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row[0])]


def test_without_production_the_tab_is_there_and_says_how_to_begin(tmp_path: Path) -> None:
    with viewing(write_workspace(tmp_path)) as viewer:
        for path in ("", "live"):
            assert '<a href="production">Production</a>' in viewer.get(path).text
        page = viewer.get("production")

        assert page.status == 200
        assert "<pre>evalh collect -- COMMAND</pre>" in page.text
        assert viewer.get("production/x").status == 404
        assert not (tmp_path / ".evalh").exists()


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", ["untimed", "running", "broken", "quiet", "disliked", "clean"]),
        ("kind=failed", ["broken", "quiet", "disliked"]),
        ("kind=thumbs_down", ["disliked"]),
        ("kind=quiet", ["quiet"]),
        ("kind=poisoned", []),
        ("kind=unchecked", ["untimed", "running", "broken", "clean"]),
        ("kind=running", ["running"]),
        ("name=triage", ["quiet"]),
        ("version=triage%40v3&kind=failed", ["broken", "quiet", "disliked"]),
        ("session=s-2", ["disliked"]),
        ("user=u-1&kind=unchecked", ["broken", "clean"]),
        ("text=ISLIK", ["disliked"]),
        ("text=s-2", ["disliked"]),
        ("text=%25", []),
        ("order=slowest&user=u-1", ["broken", "quiet", "disliked", "clean"]),
        ("order=most_expensive&kind=running", ["running"]),
        ("page=2", []),
        (
            "kind=nonsense&order=nonsense&page=-1&page=%00&other=1",
            ["untimed", "running", "broken", "quiet", "disliked", "clean"],
        ),
        ("&".join(["name=refund"] * 50), ["untimed", "running", "broken", "quiet", "disliked", "clean"]),
    ],
)
def test_the_list_holds_what_is_asked_for_the_newest_first(workspace: Path, asked: str, found: list[str]) -> None:
    with viewing(workspace) as viewer:
        page = viewer.get(f"production?{asked}")

    assert page.status == 200
    assert _ids(page) == found


def test_a_row_says_what_is_known_and_what_is_not(workspace: Path) -> None:
    unpriced = [
        Call(id="running.c", workflow_id="running"),
        Attempt(id="running.1", workflow_id="running", call_id="running.c"),
    ]
    keep(workspace, iter(unpriced))
    with viewing(workspace) as viewer:
        page = viewer.get("production")

    broken, running, untimed, quiet, disliked = (
        _row(page, name) for name in ("broken", "running", "untimed", "quiet", "disliked")
    )
    assert broken[:8] == ["2025-11-24 16:00:30", "refund", "error", "2000 ms", "3", "1", "400 → 9", "$0.002"]
    assert broken[10] == "ask  Refused: three times"
    assert running[2:8] == ["not ended", "–", "1", "1", "unknown", "not priced"]
    assert untimed[2:8] == ["ok", "unknown", "3", "–", "–", "–"]
    assert quiet[9:11] == ["1 fail", "classify (by people)  it is a refund"]
    assert disliked[8] == "1 bad"
    assert "1–6 of 6 workflows shown" in page.text


def test_a_long_list_has_pages_that_say_how_much_they_show(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path)
    many = (Workflow(id=f"w{n:03}", name="many", door="trace", started_at=BEGAN + n, status="ok") for n in range(250))
    keep(folder, many)
    with viewing(folder) as viewer:
        first, last = viewer.get("production?kind=unchecked"), viewer.get("production?kind=unchecked&page=3")

    assert len(_ids(first)) == 100
    assert "1–100 of 250 workflows shown of 250 in all" in first.text
    assert 'href="production?kind=unchecked&amp;page=2"' in first.text
    assert _ids(last) == [f"w{n:03}" for n in range(49, -1, -1)]
    assert "After these" not in last.text


def test_a_workflow_shows_steps_calls_attempts_and_who_said_what(workspace: Path) -> None:
    with viewing(workspace) as viewer:
        quiet, disliked, untimed = (viewer.get(f"production/{name}").text for name in ("quiet", "disliked", "untimed"))

    assert re.findall(r'class="line[^"]*" data-at="(\d)" aria-current="true"', quiet) == ["1"]
    assert "first_mistake" in quiet
    assert "by people" in quiet
    assert "answered after 1 failed attempt: I refund one." in quiet
    assert "rate_limit: slow down" in quiet
    assert "2 attempts, 1 failed" in quiet
    assert quiet.count('<rect x="') >= 6
    assert '<td>the workflow</td><td class="dim" dir="auto">not what I asked</td>' in disliked
    assert "Times are unknown: the order is shown." in untimed
    assert "<rect" not in untimed
    assert untimed.index("0 Expert") < untimed.index("1 Expert") < untimed.index("2 Expert")
    assert "no call was seen" in untimed


def test_the_step_inside_is_chosen_where_it_took_those_around_it_down(workspace: Path) -> None:
    with viewing(workspace) as viewer:
        page = viewer.get("production/broken").text

    chosen = re.findall(r'data-at="(\d)" aria-current="true"', page)
    assert chosen == ["3"]
    assert re.search(r'<section id="p3" class="panel"[^>]*><h2 id="p3-name"><div class="head"><b>ask</b>', page)


def test_workflows_of_a_program_that_runs_appear_when_the_page_is_loaded(workspace: Path) -> None:
    spool = workspace / ".evalh/production"
    spool.mkdir()
    with viewing(workspace) as viewer:
        assert "live-1" not in _ids(viewer.get("production"))
        with (spool / "p1.jsonl").open("wb") as lines:
            for record in refund("live-1", BEGAN + 60):
                lines.write(encode(record))
        assert _ids(viewer.get("production"))[0] == "live-1"
        assert "I refund one." in viewer.get("production/live-1").text


def test_looking_at_production_leaves_the_log_of_tests_and_a_finished_file_alone(workspace: Path) -> None:
    def state() -> dict[str, str]:
        files = sorted(path for path in (workspace / ".evalh").rglob("*") if path.is_file() and path.suffix == ".db")
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    with viewing(workspace) as viewer:
        assert viewer.get("production").status == 200  # the first look says which version each call fits
    before = state()
    with viewing(workspace) as viewer:
        for path in ("production", "production?kind=failed", "production/quiet"):
            assert viewer.get(path).status == 200

    assert state() == before


def test_strangers_text_stays_text_and_strange_ids_are_found_again(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path)
    ids = [HOSTILE, "a/b?c#d e", "%2e%2e", "ü", "..", "x" * 500]
    for number, id_ in enumerate(ids):
        about = {"session": HOSTILE, "user": HOSTILE, "tags": (HOSTILE,), "attributes": {HOSTILE: HOSTILE}}
        whole = Workflow(
            id=id_,
            name=HOSTILE,
            door=HOSTILE,
            started_at=BEGAN + number,
            status=HOSTILE,
            inputs={HOSTILE: HOSTILE},
            **about,
        )  # type: ignore[arg-type]
        step = Step(id=f"s{number}", workflow_id=id_, name=HOSTILE, kind=HOSTILE, error=HOSTILE, status="error")
        call = Call(
            id=f"c{number}",
            workflow_id=id_,
            operation=HOSTILE,
            messages=[HOSTILE, {"role": HOSTILE, "parts": [{HOSTILE: HOSTILE}, 7]}],
            settings={"model": [HOSTILE]},
            prompt=HOSTILE,
        )
        attempt = Attempt(
            id=f"a{number}",
            workflow_id=id_,
            call_id=call.id,
            status="error",
            error=HOSTILE,
            text=HOSTILE,
            tool_calls=[HOSTILE],
        )
        score = Score(
            id=f"m{number}",
            workflow_id=id_,
            step_id=step.id,
            name=HOSTILE,
            outcome="fail",
            source=HOSTILE,
            text=HOSTILE,
        )
        vote = Feedback(id=f"f{number}", workflow_id=id_, at=BEGAN, note=HOSTILE, kind=HOSTILE)
        keep(folder, iter((whole, step, call, attempt, score, vote, Loss(id="l", count=3, why=HOSTILE, at=BEGAN))))
    with viewing(folder) as viewer:
        links = _ids(viewer.get("production"))
        pages = [viewer.get("production"), *(viewer.get(f"production/{link}") for link in links)]

    assert len(links) == 4  # no address holds the others
    assert [page.status for page in pages] == [200] * 5
    for page in pages:
        assert "<img" not in page.text
        assert "&lt;img" in page.text
        assert "\x1b" not in page.text
        assert "\u202e" not in page.text
    assert "3 records of production could not be stored" in pages[0].text


def test_long_texts_are_cut_and_the_cut_is_told(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path)
    deep: object = "end"
    for _ in range(200):
        deep = [deep]
    whole = Workflow(
        id="long", name="n" * 10_000, door="trace", started_at=BEGAN, output="x" * 3_000_000, inputs={"deep": deep}
    )
    steps = [Step(id=f"s{n}", workflow_id="long", name="step", output="y" * 20_000) for n in range(2_100)]
    steps[1_900] = Step(id="bad", workflow_id="long", name="bad", status="error", output="what was wrong")
    keep(folder, iter((whole, *steps)))
    with viewing(folder) as viewer:
        page = viewer.get("production/long")

    assert page.status == 200
    assert "Only the beginning: 3,000,000 characters in all" in page.text
    assert '<div class="text" dir="auto">what was wrong</div>' in page.text
    assert "Left out: 20,000 characters in all" in page.text
    assert "The first 2,000 of 2,100 steps and calls are shown" in page.text
    assert len(page.body) < 13_000_000


def test_a_damaged_file_is_told_and_the_runs_are_still_there(workspace: Path) -> None:
    (workspace / ".evalh/production.db").write_bytes(b"no database at all" * 100)
    with viewing(workspace) as viewer:
        page, runs = viewer.get("production"), viewer.get("")

    assert (page.status, runs.status) == (503, 200)
    assert "not a database" in page.text
