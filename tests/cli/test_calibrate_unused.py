"""`evalh calibrate` says of every label that it cannot use why that is, and what to type."""

import io
import json
from pathlib import Path
from unittest.mock import patch

import pytest

from faults.running import Done, here
from workspaces import SUITE, write_workspace

ABOUT = "evalh label triage --about tone"
TONE = """from evalh import GradeContext, Verdict, grader


@grader("tone", semantics={semantics})
def tone(ctx: GradeContext) -> Verdict:
    number = int(ctx.inputs["ticket"].split()[1].strip(","))
    if number <= {errs}:
        return Verdict.error("it is down")
    return Verdict.check(number % 2 == 0, "as it is")
"""


def judge(folder: Path, *, errs: int = 0, semantics: int = 1) -> None:
    (folder / "evals/tone.py").write_text(TONE.format(errs=errs, semantics=semantics))


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A suite with a judge of its own, run once, and a label of each of its 12 outputs."""
    folder = write_workspace(tmp_path, cases=12)
    (folder / "evals/triage.yaml").write_text(f"{SUITE}  - tone\n")
    config = folder / "evalh.toml"
    config.write_text(config.read_text().replace("[workspace]\n", '[workspace]\nplugins = ["evals/tone.py"]\n'))
    judge(folder)
    assert here(folder, "run").exit == 0
    label(folder, "tone")
    return folder


def label(folder: Path, about: str) -> None:
    with patch("sys.stdin", io.StringIO("y\nn\n" * 6)):
        assert here(folder, "label", "--author", "ada", "--about", about, "--number", "12").exit == 0


def unused(done: Done) -> list[str]:
    assert done.exit == 0, done.err
    return [line for line in done.out.splitlines() if " not used: " in line]


def test_labels_that_are_all_used_need_no_line(labelled: Path) -> None:
    assert unused(here(labelled, "calibrate", "tone")) == []


def test_a_label_of_an_output_on_which_the_judge_now_errs_is_counted(labelled: Path) -> None:
    judge(labelled, errs=3, semantics=2)
    assert here(labelled, "run").exit in (0, 4)

    assert unused(here(labelled, "calibrate", "tone")) == [
        "3 labelled outputs not used: the judge gave no verdict (it erred or abstained) (evalh report shows its reason for each; evalh run triage --fresh asks everything again)"
    ]


def test_labels_of_rows_that_changed_or_about_another_question_are_counted(labelled: Path) -> None:
    label(labelled, "good")
    labels = labelled / "datasets/labels/triage/ada.jsonl"
    kept = [json.loads(line) for line in labels.read_text().splitlines()]
    kept = [one for one in kept if (one["about"], one["case"]) != ("tone", "t-0012")]
    labels.write_text("".join(json.dumps(one) + "\n" for one in kept))
    rows = [json.loads(line) for line in (labelled / "datasets/triage.jsonl").read_text().splitlines()]
    rows[0]["inputs"]["ticket"] = "order 1, again"
    judge(labelled, semantics=2)
    (labelled / "datasets/triage.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:-2]))
    assert here(labelled, "run").exit == 0

    done = here(labelled, "calibrate", "tone")
    told = json.loads(here(labelled, "calibrate", "tone", "--json").out)

    assert unused(done) == [
        "2 labelled outputs not used: not judged by this judge as it is now (evalh run triage: it judges rows that are still there)",
        f"1 labelled output not used: labelled as good or bad, and not about tone (label for this judge: {ABOUT})",
    ]
    assert told["unused"]["not_judged"] == told["of_others"] == 2
    assert told["unused"]["other_question"] == 1


def test_labels_of_another_machines_outputs_are_counted(labelled: Path) -> None:
    labels = labelled / "datasets/labels/triage/ada.jsonl"
    first, *others = labels.read_text().splitlines(keepends=True)
    labels.write_text(first.replace('"output_digest":"sha256:', '"output_digest":"sha256:0') + "".join(others))

    (told,) = unused(here(labelled, "calibrate", "tone"))

    assert told.startswith("1 labelled output not used: the log has no such output for such a row")
    assert told.endswith("(label what the log has: evalh label triage --about tone)")


def test_without_any_usable_label_the_error_says_why(labelled: Path) -> None:
    labels = labelled / "datasets/labels/triage/ada.jsonl"
    labels.write_text(labels.read_text().replace('"output_digest":"sha256:', '"output_digest":"sha256:0'))
    gone = here(labelled, "calibrate", "tone")
    judge(labelled, errs=99, semantics=2)
    assert here(labelled, "run").exit == 4
    failed = here(labelled, "calibrate", "tone")

    assert gone.exit == failed.exit == 2
    assert "12 labelled outputs not used: the log has no such output" in gone.err
    assert "the current judge 'tone' erred or abstained on each of 12 outputs" in failed.err
