"""What a gate says at its end: the next command, which must be one that helps with this decision."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from evalh.api.workspace import Workspace
from evalh.core.errors import ExitCode
from evalh.report.markdown.gate import _text
from evalh.viewer.list_page import list_page
from faults.running import here
from gating import Repo

DOUBT = "--confirm", "evalh power triage", "evalh report"


def repo_of(folder: Path, *, was: int, now: int, cases: int = 24, gate: str = "") -> Repo:
    repo = Repo(folder / "repo", cases=cases, wrong=was, gate=gate)
    repo.prompt(wrong=now)
    return repo


def offered(told: str) -> tuple[str, ...]:
    lines = re.findall(r"^next: (.+?)   ", told, re.MULTILINE)
    return tuple(re.sub(r"the same command with |(?<=evalh report) \S+", "", line) for line in lines)


@pytest.mark.parametrize(
    ("case", "was", "now", "gate", "commands"),
    [
        ("refused", 30, 2, "", ("--confirm", "evalh report")),
        ("accepted in doubt", 30, 8, "", DOUBT),
        ("inconclusive", 30, 8, "gate: {doubt: inconclusive}\n", DOUBT),
        ("accepted", 8, 30, "", ("evalh prompt release triage", "evalh report")),
    ],
)
def test_the_next_commands_fit_the_decision(
    tmp_path: Path, case: str, was: int, now: int, gate: str, commands: tuple[str, ...]
) -> None:
    repo = repo_of(tmp_path, was=was, now=now, gate=gate)
    told = here(repo.folder, "gate", "--base", "main", "--comment", f"{tmp_path}/c.md")

    assert offered(told.err) == commands, case
    comment = (tmp_path / "c.md").read_text(encoding="utf-8")
    steps = re.findall(r"^- `(.+?)`", comment.partition("**Next**")[2], re.MULTILINE)
    assert [one.split()[1] for one in steps] == [
        "gate" if one == "--confirm" else one.split()[1] for one in commands
    ], case
    if "evalh power triage" in commands:
        assert here(repo.folder, "power", "triage").exit == 0


def test_what_was_asked_for_already_is_not_offered(tmp_path: Path) -> None:
    repo = repo_of(tmp_path, was=30, now=2)
    told = here(repo.folder, "gate", "--base", "main", "--confirm", "--report", f"{tmp_path}/page.html")

    assert told.exit == 1
    assert offered(told.err) == ()


def test_the_cases_that_got_worse_stand_behind_their_number(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=60)
    repo.prompt(wrong=2)
    (finding,) = repo.gate().suites[0].findings

    assert re.fullmatch(
        r"shown to be worse: \d+ of \d+ cases got worse \((t-\d+, )+t-\d+ and \d+ more\), \d+ better", finding.reason
    )


def test_a_doubt_is_told_in_junit_and_in_the_viewers_list(tmp_path: Path) -> None:
    repo = repo_of(tmp_path, was=30, now=8)
    here(repo.folder, "gate", "--base", "main", "--junit", f"{tmp_path}/j.xml")
    page = list_page("shop", Workspace.open(repo.folder).log.overview(9)).body.decode()

    told = ET.parse(tmp_path / "j.xml").getroot().findtext("./testsuite/testcase[@name='good']/system-out")
    assert told is not None
    assert told.startswith("accepted in doubt: worse by 12.5 points as measured")
    assert "<td class=ungraded>accepted in doubt</td><td>triage</td>" in page.replace('"', "")


def test_power_takes_the_disagreement_from_a_gate_that_met_every_case(tmp_path: Path) -> None:
    repo = repo_of(tmp_path, was=30, now=8)
    assumed = json.loads(here(repo.folder, "power", "--json").out)
    gate = json.loads(here(repo.folder, "gate", "--base", "main", "--json").out)
    measured = json.loads(here(repo.folder, "power", "--json").out)

    assert assumed["discordance_from"] == "policy"
    assert (measured["discordance_from"], measured["discordance"]) == (gate["gate"], 3 / 24)
    assert f"as in gate {gate['gate']}" in " ".join(here(repo.folder, "power").out.split())


def test_a_gate_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    repo = repo_of(tmp_path, was=30, now=8)
    first = json.loads(here(repo.folder, "gate", "--base", "main", "--json").out)["gate"]
    whole, begun = here(repo.folder, "show", first), here(repo.folder, "show", first[:-2])
    reported = [here(repo.folder, "report", name, "--format", "markdown") for name in (first, first[:-2])]
    page = here(repo.folder, "report", first[:-2])
    text = here(repo.folder, "report", first[:-2], "--format", "terminal")
    second = json.loads(here(repo.folder, "gate", "--base", "main", "--json").out)["gate"]
    several = [here(repo.folder, verb, first[:6]) for verb in ("show", "report")]

    assert (whole.exit, begun.out) == (0, whole.out)
    assert (reported[0].exit, reported[1].out) == (0, reported[0].out)
    assert f"{first}.html" in page.out
    assert text.out == whole.out
    for refused in several:
        assert refused.exit == ExitCode.USAGE
        assert "is the beginning of several comparisons or gates" in refused.err
        assert first in refused.err
        assert second in refused.err


def test_power_does_not_take_it_from_a_gate_that_ended_early(tmp_path: Path) -> None:
    repo = repo_of(tmp_path, was=300, now=2, cases=200)
    (suite,) = json.loads(here(repo.folder, "gate", "--base", "main", "--json").out)["suites"]

    assert suite["stopped_at"] < suite["of"]
    assert json.loads(here(repo.folder, "power", "--json").out)["discordance_from"] == "policy"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("good -20.8 points (+1.5)", "good -20.8 points (+1.5)"),
        ("- no list", r"\- no list"),
        ("# no heading", "\\#\u200b no heading"),
        ("a | b_c *d*", r"a \| b\_c \*d\*"),
    ],
)
def test_a_comment_escapes_only_what_markdown_reads(text: str, told: str) -> None:
    assert _text(text) == told


def test_a_new_version_that_nothing_uses_is_named_as_not_judged(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=24)
    draft = repo.folder / "prompts/triage/draft.prompt"
    with repo.on_main():
        repo.write("prompts/triage/v1.prompt", draft.read_text())
        repo.write("evalh.toml", (repo.folder / "evalh.toml").read_text() + '[prompts.triage]\nlive = "v1"\n')
    repo.write("prompts/triage/v2.prompt", draft.read_text())  # what the draft says: it is judged with the draft
    repo.write("prompts/triage/v4.prompt", "---\nconfig: 7\n---\nbroken\n")  # which does not hide the others
    repo.write("prompts/triage/v3.prompt", draft.read_text().replace("every 10", "every 3"))
    told = " ".join(here(repo.folder, "gate", "--base", "main").out.split())

    assert "new, but neither the draft nor live, so not judged: triage@v3; evalh compare triage@v1 triage@v3" in told
    (command,) = re.findall(r"evalh compare (\S+) (\S+)", told)
    assert here(repo.folder, "compare", *command).exit == 0


def test_new_graders_say_what_they_make_of_the_same_answers(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=24)
    suite = repo.folder / "evals/triage.yaml"
    suite.write_text(suite.read_text().replace("path: label", "path: lable"))
    told = here(repo.folder, "gate", "--base", "main", "--allow-suite-change")

    assert "no answer can differ; head's graders call 0 of 24 samples good" in " ".join(told.out.split())


def test_cases_that_did_get_worse_are_told_from_the_doubt_about_all_cases(tmp_path: Path) -> None:
    repo = repo_of(tmp_path, was=30, now=8)
    told = here(repo.folder, "gate", "--base", "main", "--confirm")

    assert told.exit == 0
    assert (
        "3 regressed; the regressed cases are worse, but they are too few to show that head is worse in general"
        in " ".join(told.out.split())
    )
