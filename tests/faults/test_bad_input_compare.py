"""What cannot be compared is refused, with what differs, the next thing to type and the right exit code."""

import json
from pathlib import Path
from typing import Any

import pytest

from evalh.core.attempt import CONFIRM_DRAW
from workspaces import document, evalh, write_workspace

CONFIRMED = """import json


def answer(request, case_id, trial, draw):
    number = int(case_id.split("-")[1])
    careful = "carefully" in str(request.messages)
    if draw == 0:
        bad = careful and number <= 3
    else:  # fresh trials: 1 is broken, 2 wavers, 3 was chance
        assert draw >= 1000
        bad = careful and (number == 1 or (number == 2 and trial % 2 == 0))
    return json.dumps({"label": "bug" if bad else "billing"})
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "100")
    folder = write_workspace(tmp_path, cases=20)
    text = (folder / "prompts/triage/v1.prompt").read_text()
    (folder / "prompts/triage/v2.prompt").write_text(text.replace("Sort", "Sort carefully"))
    return folder


def run(folder: Path, *more: str) -> str:
    return str(document(evalh(folder, "run", "--json", *more))["results"][0]["run"])


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "datasets/triage.jsonl").read_text().splitlines()]


def rewrite(folder: Path, changed: list[dict[str, Any]]) -> None:
    (folder / "datasets/triage.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))


def test_a_deleted_and_a_relabelled_case_are_named_and_the_rest_is_compared_on_request(folder: Path) -> None:
    before = run(folder, "--prompt", "v1")
    changed = rows(folder)[1:]
    changed[0]["expected"] = {"label": "bug"}
    rewrite(folder, changed)
    after = run(folder, "--prompt", "v2")

    refused = evalh(folder, "compare", before, after)
    common = evalh(folder, "compare", before, after, "--intersection", "--json")

    assert refused.returncode == 3
    assert refused.stdout.startswith("not comparable: the datasets differ")
    assert "the dataset's rows differ (changed: t-0002; only in base: t-0001)" in refused.stdout
    assert "--intersection" in refused.stderr
    assert common.returncode == 0
    told = document(common)
    assert (told["n"], told["comparable"], told["mismatches"][0]["cases"]) == (18, True, ["t-0002", "t-0001"])


def test_other_graders_are_named_and_today_s_are_offered(folder: Path) -> None:
    before = run(folder)
    suite = folder / "evals/triage.yaml"
    suite.write_text(suite.read_text().replace("{path: label, expected: label}", "{path: label, value: billing}"))
    after = run(folder)

    done = evalh(folder, "compare", before, after)

    assert done.returncode == 3
    told = " ".join(done.stdout.split())
    assert 'params is {"path": "label", "expected": "label"} on base, {"path": "label", "value": "billing"}' in told
    assert "evalh compare triage@v2@small triage@v2@small" in done.stderr


def test_no_common_case_is_exit_3_even_on_request(folder: Path) -> None:
    sides = run(folder, "--case", "t-0001"), run(folder, "--case", "t-0002")

    done = evalh(folder, "compare", *sides, "--intersection", "--json")

    assert done.returncode == 3
    assert document(done)["verdict"] == "inconclusive"
    assert document(done)["difference"] == {"value": None, "low": None, "high": None, "method": "none"}


def test_nothing_graded_is_exit_4_with_no_verdict(folder: Path) -> None:
    (folder / "evals/answers.py").write_text("def answer(request, case_id, trial):\n    raise ValueError('down')\n")

    done = evalh(folder, "compare", "v1", "v2", "--fail-on", "worse", "--json")

    told = document(done)
    assert done.returncode == 4
    assert (told["verdict"], told["measured"], told["sides"]["head"]["ungraded"]) == ("inconclusive", False, 20)
    assert "NaN" not in done.stdout


def test_no_good_output_on_a_side_is_said_in_words(folder: Path) -> None:
    broken = 'import json\n\ndef answer(request, case_id, trial):\n    return "prose" if "careful" in str(request.messages) else \'{"label": "billing"}\'\n'
    (folder / "evals/answers.py").write_text(broken)
    config = (folder / "evalh.toml").read_text() + "price = {input = 1.0, output = 1.0}\n"
    (folder / "evalh.toml").write_text(config)

    done = evalh(folder, "compare", "v1", "v2")

    assert done.returncode == 0
    assert done.stdout.startswith("worse: head is good less often: -100.0 points")
    assert "a side has no good output" in done.stdout
    assert "nan" not in done.stdout.lower()


def test_confirming_tells_regressed_from_unstable_and_noise_and_never_takes_the_first_answers(folder: Path) -> None:
    (folder / "evals/answers.py").write_text(CONFIRMED)

    done = evalh(folder, "compare", "v1", "v2", "--confirm", "--json")
    again = evalh(folder, "compare", "v1", "v2", "--confirm", "--json")

    told = document(done)
    assert [(one["case"], one["label"]) for one in told["confirmed"]] == [
        ("t-0001", "regressed"),
        ("t-0002", "unstable"),
        ("t-0003", "noise"),
    ]
    assert told["confirmed"][0]["p_value"] == pytest.approx(0.003968, abs=5e-7)
    assert document(again)["confirmed"] == told["confirmed"]
    asked = sql(folder, "select draw, count(*) from calls where not cache_hit group by draw order by draw")
    assert asked == [[0, 40], [CONFIRM_DRAW, 30]]
    saved = sql(folder, "select id from runs where selection like '%draw%' limit 1")[0][0]
    refused = evalh(folder, "compare", saved, "v1")
    assert refused.returncode == 2
    assert "fresh trials of single cases" in refused.stderr


def test_a_recording_that_holds_no_fresh_draws_cannot_confirm(folder: Path) -> None:
    (folder / "evals/answers.py").write_text(CONFIRMED)
    (folder / "recorded").mkdir()
    for version in ("v1", "v2"):
        evalh(
            folder, "export", "recorded", run(folder, "--prompt", version), "-o", f"{folder}/recorded/{version}.jsonl"
        )
        path = folder / f"recorded/{version}.jsonl"
        kept = [{k: v for k, v in json.loads(line).items() if k != "request"} for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    with (folder / "evalh.toml").open("a") as config:
        config.write('\n[models.recorded]\nprovider = "replay"\npath = "recorded/{version}.jsonl"\n')

    done = evalh(folder, "compare", "v1", "v2", "--model", "recorded", "--confirm")

    assert done.returncode == 4, done.stderr
    assert "no fresh trial of triage@v1 on recorded was graded" in done.stderr
    assert f'"draw": {CONFIRM_DRAW}' in done.stderr


def test_hostile_outputs_stay_inert_side_by_side(folder: Path) -> None:
    hostile = (
        "def answer(request, case_id, trial):\n"
        "    if 'careful' in str(request.messages):\n"
        "        return '\\x1b]0;owned\\x07\\x1b[2J[bold]x[/bold]\\u202e' + 'A' * 5000\n"
        '    return \'{"label": "billing"}\'\n'
    )
    (folder / "evals/answers.py").write_text(hostile)

    done = evalh(folder, "compare", "v1", "v2")

    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "[bold]x[/bold]" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["v1", "v2", "--model", "a", "--model", "b", "--model", "c"], "give --model once for both sides"),
        (["last", "v2"], "no runs yet"),
        (["v1@small", "v2", "--model", "small"], "'v1@small' names its model"),
        (["v1", "@small"], "is not the name of a prompt or version"),
        (["other@v1", "other@v2"], "no suite uses prompt 'other'"),
        (["v1", "v2", "--suite", "triaje"], "triaje"),
        (["v1", "v2", "--pass-at", "3", "--trials", "2"], "pass@3 needs 3 trials of each case; here are 2"),
    ],
)
def test_what_makes_no_sense_is_exit_2_before_anything_is_asked(folder: Path, arguments: list[str], what: str) -> None:
    done = evalh(folder, "compare", *arguments)

    assert done.returncode == 2
    assert what in done.stderr
    assert not (folder / ".evalh/evalh.db").exists()


def sql(folder: Path, query: str) -> list[list[Any]]:
    return list(document(evalh(folder, "sql", "--json", query))["rows"])


def test_show_knows_a_comparison(folder: Path) -> None:
    told = document(evalh(folder, "compare", "v1", "v2", "--json"))

    shown = evalh(folder, "show", told["id"], "--json")

    assert document(shown) == told
    assert "triage@v1 → triage@v2 on small" in evalh(folder, "show", told["id"]).stdout
