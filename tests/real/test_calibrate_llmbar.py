"""`evalh calibrate` on what GPT-4 and ChatGPT really said of pairs, and on whom people preferred.

The output that is graded is the pair's first answer; the judge is the recorded one: it passes where it preferred that
answer. Every number is computed a second time here, from the files, by other packages.
"""

import gzip
import json
import os
from math import sqrt
from pathlib import Path
from random import Random
from typing import Any

import krippendorff
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from faults.running import here

DATA = Path(os.environ.get("EVALH_REAL_DATA", "nowhere")) / "llmbar"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="EVALH_REAL_DATA names no folder with llmbar/")

PROMPT = "---\ninput: {schema: {instruction: string}}\n---\n{{instruction}}\n"
SUITE = "prompt: answer\ndataset: pairs\nmodel: recorded\ngraders:\n  - recorded_judge\n"
GRADER = """from evalh import GradeContext, Verdict, grader


@grader("recorded_judge")
def recorded_judge(ctx: GradeContext) -> Verdict:
    winner = ctx.inputs["winner"]
    if winner not in (1, 2):
        return Verdict.error("unreadable")
    return Verdict.check(winner == 1, f"preferred answer {winner}")
"""
CONFIG = """[workspace]
default_suite = "pairs"
plugins = ["evals/judge.py"]

[models.recorded]
provider = "replay"
path = "recorded.jsonl"
"""


def lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def written(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def judged(folder: Path, subset: str, model: str, prompt: str) -> dict[str, tuple[bool, bool]]:
    """Write and run a workspace; return what judge and people say of each case's first answer, from the files."""
    pairs = {row["id"]: row for row in lines(f"{subset}-cases")}
    said = {
        row["id"]: int(row["winner"])
        for row in lines(f"{subset}-outputs")
        if (row["model"], row["prompt"], bool(row["swapped"])) == (model, prompt, False) and row["winner"] in ("1", "2")
    }
    inputs = {name: {"instruction": pairs[name]["instruction"], "winner": said[name]} for name in said}
    written(folder / "datasets/pairs.jsonl", [{"id": name, "inputs": inputs[name]} for name in said])
    answers = [{"id": name, "output": pairs[name]["output_1"]} for name in said]
    written(folder / "recorded.jsonl", answers)
    for path, text in (("prompts/answer/v1.prompt", PROMPT), ("evals/pairs.yaml", SUITE), ("evals/judge.py", GRADER)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "evalh.toml").write_text(CONFIG)
    done = here(folder, "run", "--json")
    assert done.exit == 0, done.err
    return {name: (said[name] == 1, pairs[name]["human_label"] == 1) for name in said}


def label(folder: Path, truth: dict[str, tuple[bool, bool]], names: set[str]) -> None:
    """Write labels by way of the log's own digests."""
    from evalh.api.labels import labelling
    from evalh.api.workspace import Workspace

    work = labelling(Workspace.open(folder), "pairs", about="recorded_judge", author="people")
    for question in work.questions(10_000):
        if question.candidate.case_id in names:
            work.answer(question, good=truth[question.candidate.case_id][1], note=None)


def calibration(folder: Path) -> dict[str, Any]:
    done = here(folder, "calibrate", "recorded_judge", "--json")
    assert done.exit == 0, done.err + done.out
    found: dict[str, Any] = json.loads(done.out)
    return found


@pytest.mark.parametrize(
    ("subset", "model", "prompt"),
    [("natural", "GPT-4", "Vanilla"), ("neighbor", "ChatGPT", "CoT")],
)
def test_agreement_is_what_other_packages_compute_from_the_file(
    tmp_path: Path, subset: str, model: str, prompt: str
) -> None:
    truth = judged(tmp_path, subset, model, prompt)
    label(tmp_path, truth, set(truth))
    found = calibration(tmp_path)

    pairs = list(truth.values())
    table = [[sum(pair == (one, other) for pair in pairs) for other in (True, False)] for one in (True, False)]
    assert found["confusion"] == dict(
        zip(("both_good", "judge_only", "people_only", "both_bad"), [*table[0], *table[1]], strict=True)
    )
    agreement, seen = found["agreement"], sum(one == other for one, other in pairs) / len(pairs)
    kappa = cohens_kappa(table)
    assert agreement["raw"]["value"] == pytest.approx(seen)
    assert agreement["kappa"]["value"] == pytest.approx(kappa.kappa)
    assert (agreement["kappa"]["low"], agreement["kappa"]["high"]) == pytest.approx((kappa.kappa_low, kappa.kappa_upp))
    rate = (sum(one for one, _ in pairs) + sum(other for _, other in pairs)) / (2 * len(pairs))
    chance = 2 * rate * (1 - rate)
    assert agreement["ac1"]["value"] == pytest.approx((seen - chance) / (1 - chance))
    numbers = [[float(label) for label in rater] for rater in zip(*pairs, strict=True)]
    alpha = krippendorff.alpha(numbers, level_of_measurement="nominal", value_domain=[0.0, 1.0])
    assert agreement["alpha"]["value"] == pytest.approx(alpha)
    whole = found["rates"][0]
    assert whole["judge_rate"] == pytest.approx(sum(one for one, _ in pairs) / len(pairs))
    assert whole["corrected"]["value"] == pytest.approx(sum(other for _, other in pairs) / len(pairs))


def test_a_few_labels_correct_the_judges_rate_as_a_direct_computation_does(tmp_path: Path) -> None:
    truth = judged(tmp_path, "neighbor", "ChatGPT", "CoT")
    sample = set(Random(7).sample(sorted(truth), 60))
    label(tmp_path, truth, sample)
    whole = calibration(tmp_path)["rates"][0]

    value = variance = 0.0
    for outcome in (True, False):
        stratum = [name for name, (one, _) in truth.items() if one is outcome]
        people = [float(truth[name][1]) for name in stratum if name in sample]
        share, mean = len(stratum) / len(truth), sum(people) / len(people)
        value += share * mean
        variance += share**2 * sum((one - mean) ** 2 for one in people) / (len(people) - 1) / len(people)
    assert whole["labels"] == 60
    assert whole["corrected"]["value"] == pytest.approx(value)
    assert whole["corrected"]["low"] < value - 1.96 * sqrt(variance) < value
    people_would = sum(other for _, other in truth.values()) / len(truth)
    assert whole["corrected"]["low"] < people_would < whole["corrected"]["high"]
    assert abs(whole["corrected"]["value"] - people_would) < abs(whole["judge_rate"] - people_would) or (
        abs(whole["judge_rate"] - people_would) < 0.05
    )


def test_a_judge_that_was_changed_is_another_judge(tmp_path: Path) -> None:
    truth = judged(tmp_path, "natural", "GPT-4", "Vanilla")
    label(tmp_path, truth, set(truth))
    before = calibration(tmp_path)
    file = tmp_path / "evals/judge.py"
    file.write_text(file.read_text().replace('@grader("recorded_judge")', '@grader("recorded_judge", semantics=2)'))
    without = here(tmp_path, "calibrate", "recorded_judge")
    checked = here(tmp_path, "check")
    assert here(tmp_path, "run").exit == 0
    after = calibration(tmp_path)

    assert without.exit == 2
    assert "of the current judge" in without.err
    assert "stale, recorded_judge was changed" in checked.out + checked.err
    assert "stale" not in here(tmp_path, "check").out
    assert before["judge_digest"] != after["judge_digest"]
    assert before["rates"][0] == after["rates"][0]


def test_without_labels_it_says_how_to_make_some(tmp_path: Path) -> None:
    judged(tmp_path, "natural", "GPT-4", "Vanilla")
    done = here(tmp_path, "calibrate", "recorded_judge")

    assert done.exit == 2
    assert "evalh label pairs --about recorded_judge" in done.err


def test_labels_of_other_outputs_calibrate_nothing_and_leave_the_file_alone(tmp_path: Path) -> None:
    truth = judged(tmp_path, "natural", "GPT-4", "Vanilla")
    label(tmp_path, truth, set(truth))
    calibration(tmp_path)
    kept = (tmp_path / "reports/calibrations/pairs/recorded_judge.json").read_text()
    file = tmp_path / "datasets/labels/pairs/people.jsonl"
    file.write_text(file.read_text().replace('"output_digest":"sha256:', '"output_digest":"sha256:0'))
    done = here(tmp_path, "calibrate", "recorded_judge")

    assert done.exit == 2
    assert "none of the 100 labelled outputs was judged by the current judge 'recorded_judge'" in done.err
    assert (tmp_path / "reports/calibrations/pairs/recorded_judge.json").read_text() == kept
