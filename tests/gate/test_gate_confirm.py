"""`gate --confirm`: which of the cases that got worse did so, and which by chance."""

import json
from pathlib import Path

from evalh.core.errors import ExitCode
from faults.running import here, rows
from gating import Repo

# Always wrong where the prompt says so; and on every third ticket sometimes wrong, with any prompt.
NOISY = """import hashlib
import json
import re


def answer(request, case_id, trial, draw):
    told = re.search(r"wrong on every (\\d+)", request.messages[0].text)
    number = int(case_id.split("-")[1])
    dice = hashlib.sha256(f"{told[1]} {case_id} {trial} {draw}".encode()).digest()[0]
    wrong = number % int(told[1]) == 0 or (number % 3 == 0 and dice < 60)
    return json.dumps({"label": "bug" if wrong else "billing"})
"""


def noisy(folder: Path, *, wrong: int) -> Repo:
    repo = Repo(folder, cases=120, wrong=100)
    repo.write("evals/answers.py", NOISY)
    repo.commit()
    repo.git("branch", "-f", "main")
    repo.prompt(wrong)
    return repo


def test_each_case_that_got_worse_has_a_label_and_the_decision_stands(tmp_path: Path) -> None:
    repo = noisy(tmp_path, wrong=4)
    (plain,) = repo.gate().suites

    (suite,) = repo.gate(confirm=True).suites

    assert suite.exit is plain.exit is ExitCode.NO
    assert [one.reason for one in suite.findings] == [one.reason for one in plain.findings]
    assert suite.comparison is not None
    confirmed = {one.case_id: one for one in suite.comparison.confirmed}
    assert set(confirmed) == set(suite.comparison.regressed)
    always = {case for case in confirmed if int(case[2:]) % 4 == 0 and int(case[2:]) % 3}
    assert always
    assert {confirmed[case].label.value for case in always} == {"regressed"}
    assert {one.label.value for case, one in confirmed.items() if int(case[2:]) % 4} <= {"unstable", "noise"}
    assert suite.asked == 10 * len(confirmed)  # the rest is in the log


def test_every_report_has_the_labels(tmp_path: Path) -> None:
    repo = noisy(tmp_path / "repo", wrong=4)
    comment = tmp_path / "comment.md"

    done = here(repo.folder, "gate", "--base", "main", "--confirm", "--json", "--comment", str(comment))
    said = here(repo.folder, "gate", "--base", "main", "--confirm")

    assert done.exit == said.exit == 1
    (suite,) = json.loads(done.out)["suites"]
    assert {one["label"] for one in suite["comparison"]["confirmed"]} >= {"regressed"}
    assert "asked again (5 fresh trials on each side), what got worse is: " in " ".join(suite["notices"])
    assert "asked again  good fresh trials on both sides" in said.out
    assert "; asked again it is regressed: 5 of 5 good on base, 0 of 5 on head" in comment.read_text()
    assert rows(repo.folder, "select count(*) as n from runs where status <> 'complete'") == [{"n": 0}]


def test_nothing_is_asked_where_nothing_got_worse(tmp_path: Path) -> None:
    repo = Repo(tmp_path, cases=60, wrong=4)
    repo.prompt(wrong=100)

    (suite,) = repo.gate(confirm=True).suites

    assert suite.exit is ExitCode.YES
    assert not any("asked again" in notice for notice in suite.notices)
