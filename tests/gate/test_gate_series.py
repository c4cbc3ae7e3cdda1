"""Several pushes on one pull request are several looks at one question, and share one error rate."""

import json
import shutil
from pathlib import Path

import pytest

from evalh.analysis.gate.decision import Series
from evalh.api.gate import read_earlier
from evalh.core.errors import ExitCode
from evalh.report.documents.gate import GateDocument, gate_document
from evalh.report.markdown.gate import COMMENT_BYTES, MARKER, gate_markdown
from evalh.report.terminal.gate import look_line
from gating import Repo
from workspaces import evalh


def commented(repo: Repo, comment: Path) -> GateDocument:
    decision = repo.gate(earlier=comment)
    document = gate_document(decision)
    comment.write_text(gate_markdown(document, COMMENT_BYTES), encoding="utf-8")
    return document


def series_of(document: GateDocument) -> Series:
    assert document.series is not None
    return document.series


def test_each_new_head_is_a_look_and_the_same_head_is_none(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=40)
    comment = tmp_path / "comment.md"
    looks = []
    for wrong in (11, 12, 12, 13, 11):
        repo.prompt(wrong)
        looks.append(series_of(commented(repo, comment)))

    assert [one.look for one in looks] == [1, 2, 2, 3, 1]
    assert [round(one.alpha, 5) for one in looks] == [0.025, 0.00833, 0.00833, 0.00417, 0.025]
    text = comment.read_text(encoding="utf-8")
    assert text.startswith(MARKER)
    assert "1st look at this pull request" in text


RECORDED = 'provider = "replay"\nmodel = "script-1"\npath = "recorded/all.jsonl"'


@pytest.mark.parametrize(
    ("config", "temperature", "looks"),
    [
        (None, "temperature: 0.7,", [1, 1, 2, 2, 3, 3]),
        (None, "", [1, 1, 2, 2, 3, 3]),  # what a provider takes then is rarely 0
        (None, "temperature: 0,", [1] * 6),
        (RECORDED, "temperature: 0.7,", [1] * 6),  # a recording answers the same each time
    ],
)
def test_the_same_head_is_a_look_again_where_its_answers_are_drawn_again(
    tmp_path: Path, config: str | None, temperature: str, looks: list[int]
) -> None:
    repo = Repo(tmp_path / "repo", cases=40)
    comment = tmp_path / "comment.md"
    rows = [{"id": f"t-{number:04d}", "output": '{"label": "billing"}'} for number in range(1, 41)]
    repo.write("recorded/all.jsonl", "".join(json.dumps(one) + "\n" for one in rows))
    if config is not None:
        repo.write("evalh.toml", f'[workspace]\ndefault_suite = "triage"\n\n[models.small]\n{config}\n')
    repo.commit()
    repo.git("branch", "-f", "main")
    repo.prompt(11)
    draft = repo.folder / "prompts/triage/draft.prompt"
    draft.write_text(draft.read_text().replace("temperature: 0,", temperature))

    found = []
    for fresh, forgets in ((True, False), (False, False), (True, False), (False, False), (False, True), (False, False)):
        if forgets:
            shutil.rmtree(repo.folder / ".evalh")
        document = gate_document(repo.gate(earlier=comment, fresh=fresh))
        comment.write_text(gate_markdown(document, COMMENT_BYTES), encoding="utf-8")
        assert document.series is not None
        found.append(document.series.look)
        assert len(document.series.heads) == max(found)

    assert found == looks


def test_a_real_drop_is_still_refused_at_a_late_look(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=200)
    comment = tmp_path / "comment.md"
    for wrong in (11, 12, 13, 14):
        repo.prompt(wrong)
        commented(repo, comment)
    repo.prompt(wrong=2)

    document = commented(repo, comment)

    assert series_of(document).look == 5
    assert document.exit == ExitCode.NO


def test_without_an_earlier_comment_a_look_stands_alone(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=40)
    repo.prompt(wrong=11)

    assert gate_document(repo.gate()).series is None


def test_a_gate_that_judges_nothing_hands_the_looks_on(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=40)
    earlier, comment = tmp_path / "earlier.md", tmp_path / "comment.md"
    suite = (repo.folder / "evals/triage.yaml").read_text(encoding="utf-8")
    looks = []
    for wrong, text in ((11, suite), (10, suite), (12, "no: [suite"), (13, suite)):  # 10: as it is on base
        repo.prompt(wrong)
        repo.write("evals/triage.yaml", text)
        evalh(repo.folder, "gate", "--base", "main", "--earlier", str(earlier), "--comment", str(comment))
        comment.replace(earlier)
        looks.append(len(read_earlier(earlier).heads))

    assert looks == [1, 1, 1, 2]


@pytest.mark.parametrize(("look", "told"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd")])
def test_a_look_is_told_by_its_number(look: int, told: str) -> None:
    line = look_line(Series(heads=(), look=look, alpha=0.05 / (look * (look + 1))))

    assert str(line).startswith(f"{told} look at this pull request: ")


@pytest.mark.parametrize("text", [None, "", " \n\n", f"{MARKER}\n", f"\ufeff{MARKER}\r\n## no decision\r\n"])
def test_no_comment_and_one_that_judged_nothing_are_a_first_look(tmp_path: Path, text: str | None) -> None:
    repo = Repo(tmp_path / "repo", cases=40)
    repo.prompt(wrong=11)
    comment = tmp_path / "comment.md"
    if text is not None:
        comment.write_text(text, encoding="utf-8")

    assert series_of(commented(repo, comment)).look == 1


HEAD = " 0123456789ab"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("Looks good to me!", 1, "not a comment of evalh gate"),
        (f"<!-- evalh heads:{HEAD} -->", 1, "not a comment of evalh gate"),
        (f"> {MARKER}\n<!-- evalh heads:{HEAD} -->", 1, "not a comment of evalh gate"),
        ("\0" * 99, 1, "not a comment of evalh gate"),
        (f"{MARKER}\n<!-- evalh heads: -->", 2, "list of judged heads cannot be read"),
        (f"{MARKER}\n<!-- evalh heads: xyz -->", 2, "list of judged heads cannot be read"),
        (f"{MARKER}\n<!-- evalh heads:{HEAD} --> and more", 2, "list of judged heads cannot be read"),
        (f"{MARKER}\n<!-- evalh heads:{HEAD * 501} -->", 2, "list of judged heads cannot be read"),
    ],
)
def test_a_file_that_no_gate_left_is_refused(tmp_path: Path, text: str, line: int, told: str) -> None:
    repo = Repo(tmp_path / "repo", cases=40)
    repo.prompt(wrong=11)
    earlier = tmp_path / "earlier.md"
    earlier.write_text(text, encoding="utf-8")

    done = evalh(repo.folder, "gate", "--base", "main", "--earlier", str(earlier))

    assert done.returncode == ExitCode.USAGE
    assert told in done.stderr
    assert f"{earlier}:{line}" in done.stderr
    assert "Traceback" not in done.stderr
    assert earlier.read_text(encoding="utf-8") == text


def test_heads_in_an_output_that_a_comment_quotes_are_none(tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.md"
    earlier.write_text(f"{MARKER}\n\n## no decision\n<!-- evalh heads:{HEAD} -->\n", encoding="utf-8")

    assert read_earlier(earlier).heads == ()
