"""Models that think aloud, over a real socket and from recordings: what is graded, what is kept, what is reused."""

import json
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from workspaces import chat_server, document, evalh, label_of, write_workspace

THOUGHT = "A ticket about an order. It may be a bug.\n\nNo: billing."


def aloud(ticket: str) -> dict[str, Any]:
    return {"message": {"content": f"<think>\n{THOUGHT}\n</think>\n\n{label_of(ticket)}"}}


def rows(folder: Path, sql: str) -> list[list[Any]]:
    found: list[list[Any]] = document(evalh(folder, "sql", sql, "--json"))["rows"]
    return found


def test_reasoning_is_kept_apart_and_the_answer_is_graded(tmp_path: Path) -> None:
    with chat_server() as (server, model):
        server.choice = aloud
        folder = write_workspace(tmp_path, cases=6, model=model)
        ran = document(evalh(folder, "run", "--json"))["results"][0]
        kept = document(evalh(folder, "run", "--json", "--model", "small"))["results"][0]
        shown = evalh(folder, "show", "t-0001")

    assert (ran["good"], kept["good"], kept["attempts"]) == (6, 6, 0)
    [[text, reasoning, raw]] = rows(folder, "select text, reasoning, raw from attempts limit 1")
    assert (json.loads(text), reasoning) == ({"label": "billing"}, THOUGHT)
    assert "<think>" in raw
    assert "reasoning, not graded" in shown.stdout
    assert "It may be a bug." in shown.stdout


def test_what_is_kept_is_another_answer_and_explain_says_which(tmp_path: Path) -> None:
    with chat_server() as (server, model):
        server.choice = aloud
        folder = write_workspace(tmp_path, cases=3, model=model)
        stripped = document(evalh(folder, "run", "--json"))["results"][0]
        config = folder / "evalh.toml"
        config.write_text(config.read_text() + 'reasoning = "keep"\n')
        kept = document(evalh(folder, "run", "--json"))["results"][0]
        said = evalh(folder, "explain", "small")

    assert (kept["good"], kept["bad"], kept["cache_hits"]) == (0, 3, 0)
    assert kept["fingerprint"]["model"] != stripped["fingerprint"]["model"]
    assert "it stays part of the output" in said.stdout


def test_answers_of_an_older_evalh_are_parted_when_they_are_used(tmp_path: Path) -> None:
    import sqlite3

    with chat_server() as (server, model):
        server.choice = aloud
        folder = write_workspace(tmp_path, cases=3, model=model)
        evalh(folder, "run", "--json")
        with sqlite3.connect(folder / ".evalh/evalh.db") as log:
            log.execute("update attempts set reasoning = null, text = '<think>hm</think>' || text")
        again = document(evalh(folder, "run", "--json"))["results"][0]

    assert (again["good"], again["cache_hits"]) == (3, 3)


def test_a_recording_that_thinks_aloud_is_graded_by_its_answers(tmp_path: Path) -> None:
    model = 'provider = "replay"\npath = "recorded.jsonl"\n'
    folder = write_workspace(tmp_path, cases=2, model=model)
    texts = ['hm, so it is.\n</think>\n\n{"label": "billing"}', "<think>It is about"]
    recorded = [{"id": f"t-000{number}", "output": text} for number, text in enumerate(texts, 1)]
    (folder / "recorded.jsonl").write_text("".join(json.dumps(row) + "\n" for row in recorded))

    done = evalh(folder, "run")

    assert "2: 1 good · 1 bad" in done.stdout
    assert "the answer is empty: there is nothing but reasoning (finish: stop)" in done.stdout


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (
            {"message": {"content": ""}, "finish_reason": "length", "reasoning": 24},
            "the answer is empty: all 24 tokens went into reasoning (finish: length); raise max_tokens",
        ),
        (
            {"message": {"content": None}, "finish_reason": "content_filter"},
            "the answer was blocked by the provider's content filter (finish: content_filter)",
        ),
        ({"message": {"content": None, "refusal": "I cannot."}}, "the model refused (finish: refusal)"),
        ({"message": {"content": '{"lab'}, "finish_reason": "length"}, "cut off: its tokens ran out (finish: length)"),
    ],
)
def test_what_emptied_an_answer_is_said_wherever_it_is_shown(
    tmp_path: Path, choice: dict[str, Any], words: str
) -> None:
    with chat_server() as (server, model):
        server.choice = lambda _: choice
        folder = write_workspace(tmp_path, cases=1, model=model)
        ran = evalh(folder, "run")

    shown = evalh(folder, "show", "t-0001")
    report = evalh(folder, "report", "--output", str(tmp_path / "page.html"))

    assert words[:40] in ran.stdout
    assert 'the output is ""' not in ran.stdout
    assert words in " ".join(shown.stdout.split())
    assert report.returncode == 0, report.stderr
    assert words in unescape((tmp_path / "page.html").read_text())


def test_an_answer_without_anything_is_shown_as_empty(tmp_path: Path) -> None:
    with chat_server() as (server, model):
        server.choice = lambda _: {"message": {"content": ""}}
        folder = write_workspace(tmp_path, cases=1, model=model)
        evalh(folder, "run")
        shown = evalh(folder, "show", "t-0001")

    assert "(empty)" in shown.stdout


def test_the_page_of_a_run_holds_the_reasoning_of_each_sample_inert(tmp_path: Path) -> None:
    hostile = "A\u202e ticket.</script><script>alert(1)</script>"
    with chat_server() as (server, model):
        server.choice = lambda ticket: {"message": {"content": f"<think>{hostile}</think>{label_of(ticket)}"}}
        folder = write_workspace(tmp_path, cases=3, model=model)
        document(evalh(folder, "run", "--json"))
    assert evalh(folder, "report", "-o", str(folder / "page.html")).returncode == 0

    page = (folder / "page.html").read_text()
    data = json.loads(page.rpartition('id="evalh-data"')[2].partition(">")[2].partition("</script>")[0])
    assert {row["y"]["reasoning"] for row in data["rows"]} == {hostile.replace("\u202e", "\\u202e")}
    assert "alert(1)</script>" not in page
