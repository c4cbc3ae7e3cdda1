"""What models wrote stays text in a comment, a spreadsheet and a build's test view."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.report.files.spreadsheet import inert_cell
from evalh.report.markdown.run import code, prose

GUIDE = Path(__file__).parents[3] / "docs/guide/look-at-a-run.md"


@given(st.text(alphabet=st.sampled_from("`@ab |\n![]()<>")))
def test_markdown_code_is_never_left(text: str) -> None:
    made = code(text)
    fence = re.match("`+", made)

    assert fence is not None
    assert made.endswith(fence[0])
    inside = made[len(fence[0]) : -len(fence[0])]
    assert all(len(run) != len(fence[0]) for run in re.findall("`+", inside))
    assert "\n" not in made
    assert "|" not in made


@given(st.text(alphabet=st.sampled_from("`@ab*_ |\n![]()<>#~&\\")))
def test_a_sentence_in_markdown_has_no_marks_but_its_words(text: str) -> None:
    made = prose(text)

    assert not set(re.sub("&#[0-9]+;", "", made)) & set("`*[]<>#|!@~&\\\n")


def test_a_plain_sentence_stays_readable() -> None:
    assert prose("v3 on small buys 3.1 points over v2 for 2 × the price.") == (
        "v3 on small buys 3.1 points over v2 for 2 × the price."
    )


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", '=HYPERLINK("http://127.0.0.1/")', "|x"]
)
def test_no_cell_computes(text: str) -> None:
    assert inert_cell(text).startswith("'")


def test_a_plain_cell_stays_as_it_is() -> None:
    assert inert_cell('{"label": "bug"}') == '{"label": "bug"}'


def test_every_question_of_the_guide_is_sql_that_runs(tmp_path: Path) -> None:
    import sqlite3

    from evalh.api.event_loop import SystemClock
    from evalh.store import open_store

    open_store(tmp_path / ".evalh", clock=SystemClock()).close()
    queries = re.findall(r"`(select [^`]+)` \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    with sqlite3.connect(tmp_path / ".evalh/evalh.db") as db:
        for query in queries:
            db.execute(query, {"run": "r", "base": "b"}).fetchall()

    db.close()
    assert len(queries) == 14
