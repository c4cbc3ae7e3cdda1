"""What GPT-4, ChatGPT and LLaMA2 really wrote as judges, served over HTTP: parsed, swapped and found again.

LLMBar: 100 + 134 pairs with a human's preference; each model judged them by six versions of a judge's prompt, in both
orders. Of 8,424 recorded judgements five name no winner (two are empty, one calls both equally good, two were cut off
before they said); for those nothing is parsed either. All others are parsed as recorded.
"""

import asyncio
import gzip
import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import krippendorff
import numpy as np
import pytest
from scipy.stats import binomtest, t
from statsmodels.stats.inter_rater import cohens_kappa

from evalh import Workspace
from evalh.api.prefer import OutputPair, preferences
from evalh.core.attempt import Completion
from evalh.core.case import Case
from evalh.core.suite import GraderSpec
from evalh.engine.plan import AskOptions
from evalh.graders.judges.asking import UnreadableReplyError
from evalh.graders.judges.fences import plain
from evalh.graders.judges.prefer import PART, Favoured, Preference, build_prefer
from evalh.graders.judges.replies import Sought
from evalh.graders.judges.replies import read as read_reply
from faults.dialects import OPENAI
from faults.fault_server import Act, Asked, fault_server
from faults.running import here, rows

MODELS = ("GPT-4", "ChatGPT", "LLaMA2")
PROMPTS = ("Vanilla", "Vanilla_NoRules", "CoT", "Metrics", "Reference", "Metrics_Reference")
JUDGE = """---
config: {temperature: 0, max_tokens: 300}
---
Which output follows the instruction better? Judge as %s does.
# Instruction:
{{input}}
# Output (a):
{{output_a}}
# Output (b):
{{output_b}}
"""
NO_WINNER = 5
DECIDED = (Favoured.HEAD, Favoured.BASE)


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


class Recorded:
    """Answers as the recorded models did: distinguished by the model, the prompt's version, and what comes first."""

    def __init__(self, cases: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        first = {case["id"]: (case["instruction"], case["output_1"], case["output_2"]) for case in cases}
        self.said: dict[tuple[str, str, str, str], str] = {}
        for row in outputs:
            instruction, one, two = first[row["id"]]
            key = (row["model"], row["prompt"], plain(instruction), plain(two if row["swapped"] else one))
            self.said[key] = row["output"]
        assert len(self.said) == len(outputs)

    def __call__(self, asked: Asked) -> Act:
        text = asked.document["messages"][-1]["content"]
        prompt = text.split("Judge as ")[1].split(" does.")[0]
        return OPENAI.answer(self.said[asked.model, prompt, fenced(text, "input"), fenced(text, "output-a")])


def fenced(text: str, name: str) -> str:
    begin = text.index(f"<{name}-")
    tag = text[begin + 1 : text.index(">", begin)]
    return text[begin + len(tag) + 3 : text.index(f"\n</{tag}>")]


def workspace(folder: Path, port: int) -> Workspace:
    tables = [f"[models.{name}]\n{OPENAI.config(port, model=name)}" for name in MODELS]
    (folder / "evalh.toml").write_text("[workspace]\n" + "".join(tables))
    for name in PROMPTS:
        home = folder / f"prompts/{name}"
        home.mkdir(parents=True)
        (home / "v1.prompt").write_text(JUDGE % name)
    return Workspace.open(folder, env={"OPENAI_API_KEY": "k"})


def judged(space: Workspace, model: str, prompt: str, pairs: list[OutputPair]) -> list[Preference]:
    spec = GraderSpec(kind="prefer", name="prefer", params={"rubric": f"{prompt}@v1", "model": model})
    prefer = build_prefer(spec, space.grader_environment)
    store = space.open_store()
    try:
        return asyncio.run(preferences(space, store, prefer, pairs, AskOptions()))
    finally:
        store.close()


@pytest.mark.parametrize(
    ("model", "prompts"),
    [
        ("GPT-4", ("Vanilla", "Metrics_Reference")),
        *(pytest.param(model, PROMPTS, marks=pytest.mark.slow) for model in MODELS),
    ],
)
def test_parsed_winners_are_the_recorded_ones(
    tmp_path: Path, real_data: Path, model: str, prompts: tuple[str, ...]
) -> None:
    cases = [case for name in ("natural", "neighbor") for case in read(real_data / f"llmbar/{name}-cases.jsonl.gz")]
    outputs = [row for name in ("natural", "neighbor") for row in read(real_data / f"llmbar/{name}-outputs.jsonl.gz")]
    human = {case["id"]: case["human_label"] for case in cases}
    pairs = [
        OutputPair(
            case=Case(case["id"], {"instruction": case["instruction"]}),
            base=Completion(text=case["output_1"]),
            head=Completion(text=case["output_2"]),
        )
        for case in cases
    ]
    winners = {(row["model"], row["prompt"], row["id"], row["swapped"]): row["winner"] for row in outputs}
    assert sum(winner is None for winner in winners.values()) == NO_WINNER
    right: Counter[tuple[str, str, bool]] = Counter()
    with fault_server(Recorded(cases, outputs)) as server:
        space = workspace(tmp_path, server.port)
        for prompt in prompts:
            found = judged(space, model, prompt, pairs)
            for pair, preference in zip(pairs, found, strict=True):
                said = [_winner(word, swapped) for swapped, word in enumerate(preference.said)]
                assert said == [winners[model, prompt, pair.case.id, swapped] for swapped in (False, True)]
                assert preference.favoured is _expected(*said)
                for swapped, word in enumerate(said):
                    right[pair.case.id.split("-")[0], prompt, bool(swapped)] += word == str(human[pair.case.id])
        asked = len(server.asked)
        again = judged(space, model, prompts[0], pairs)
        assert len(server.asked) == asked == 2 * len(pairs) * len(prompts)

    assert again[0].said is not None
    if model == "GPT-4":
        assert (right["natural", "Vanilla", False], right["natural", "Vanilla", True]) == (95, 96)
        assert (right["neighbor", "Metrics_Reference", False], right["neighbor", "Metrics_Reference", True]) == (
            115,
            114,
        )
    bought = rows(tmp_path, "select purpose, count(*) as n from attempts group by 1")
    assert [(row["purpose"], row["n"]) for row in bought] == [("judge", asked)]


def _winner(word: str | None, swapped: int) -> str | None:
    return None if word is None else {"a": "12", "b": "21"}[word][swapped]


def _expected(straight: str | None, swapped: str | None) -> Favoured:
    if straight is None or swapped is None:
        return Favoured.UNJUDGED
    if straight == swapped:
        return Favoured.BASE if straight == "1" else Favoured.HEAD
    return Favoured.FIRST if straight == "1" else Favoured.SECOND


def test_compare_counts_what_the_file_counts(tmp_path: Path, real_data: Path) -> None:
    """The two outputs of each pair as two versions, and ChatGPT, whose choice often goes with the order, as the judge."""
    cases = read(real_data / "llmbar/neighbor-cases.jsonl.gz")
    outputs = [
        row
        for row in read(real_data / "llmbar/neighbor-outputs.jsonl.gz")
        if (row["model"], row["prompt"]) == ("ChatGPT", "CoT")
    ]
    winner = {(row["id"], row["swapped"]): row["winner"] for row in outputs}
    expected = Counter(_expected(winner[case["id"], False], winner[case["id"], True]) for case in cases)
    with fault_server(Recorded(cases, outputs)) as server:
        workspace(tmp_path, server.port)
        two_versions(tmp_path, cases)
        done = here(tmp_path, "compare", "v1", "v2", "--suite", "answer", "--json", env={"OPENAI_API_KEY": "k"})
        assert len(server.asked) == 2 * len(cases), done.err

    assert done.exit == 0, done.err
    (told,) = json.loads(done.out)["preferred"]
    places = expected[Favoured.FIRST], expected[Favoured.SECOND]
    assert (told["head"], told["base"]) == (expected[Favoured.HEAD], expected[Favoured.BASE])
    assert (told["first"], told["second"]) == places
    assert (told["ties"], told["unjudged"]) == (sum(places), expected[Favoured.UNJUDGED])
    assert sum(places) > 0
    assert told["consistency"] == (told["head"] + told["base"]) / (len(cases) - told["unjudged"])


@pytest.mark.parametrize(("model", "prompt"), [("ChatGPT", "CoT"), ("GPT-4", "Vanilla")])
def test_calibrate_gives_the_numbers_of_other_packages(
    tmp_path: Path, real_data: Path, model: str, prompt: str
) -> None:
    """Of one judge: position bias, kappa, AC1, alpha, PPI++; each computed again from the file by other code."""
    cases = read(real_data / "llmbar/neighbor-cases.jsonl.gz")
    outputs = [
        row
        for row in read(real_data / "llmbar/neighbor-outputs.jsonl.gz")
        if (row["model"], row["prompt"]) == (model, prompt)
    ]
    key = {"OPENAI_API_KEY": "k"}
    with fault_server(Recorded(cases, outputs)) as server:
        workspace(tmp_path, server.port)
        two_versions(tmp_path, cases, f"{prompt}@v1", model)
        assert here(tmp_path, "compare", "v1", "v2", "--suite", "answer", env=key).exit == 0
        asked = len(server.asked)
        alone = json.loads(here(tmp_path, "calibrate", "prefer", "--json").out)
        sample = set(Random(7).sample([case["id"] for case in cases], 60))
        label(tmp_path, cases, sample)
        told = json.loads(here(tmp_path, "calibrate", "prefer", "--json").out)
        shown = here(tmp_path, "calibrate", "prefer").out
        assert here(tmp_path, "check").exit == 0
        assert len(server.asked) == asked

    human = {case["id"]: case["human_label"] for case in cases}
    winner = {(row["id"], row["swapped"]): row["winner"] for row in outputs}
    favoured = {name: _expected(winner[name, False], winner[name, True]) for name in human}
    unjudged = [name for name, one in favoured.items() if one is Favoured.UNJUDGED]
    favoured = {name: one for name, one in favoured.items() if one is not Favoured.UNJUDGED}
    count, sample = len(favoured), sample - set(unjudged)
    assert told["unjudged"] == len(unjudged) == (model == "ChatGPT")  # a reply that names no winner
    tally = Counter(favoured.values())
    first, second = tally[Favoured.FIRST], tally[Favoured.SECOND]
    steady = tally[Favoured.HEAD] + tally[Favoured.BASE]
    place = told["position"]
    assert (place["pairs"], place["consistent"], place["first"], place["second"]) == (count, steady, first, second)
    assert place["p_value"] == pytest.approx(binomtest(first, first + second).pvalue)
    assert place["consistency"] == pytest.approx(steady / count)
    assert place["unsteady"] is (steady / count < 0.8)
    assert alone["position"] == place
    assert (alone["labelled"], alone["agreement"]) == (0, None)
    (preference,) = told["preferences"]
    assert preference["p_value"] == pytest.approx(binomtest(tally[Favoured.HEAD], steady).pvalue)
    assert f"first {first}, second {second} (p " in shown

    both = [(favoured[name] is Favoured.HEAD, human[name] == 2) for name in sample if favoured[name] in DECIDED]
    table = [[both.count((one, other)) for other in (True, False)] for one in (True, False)]
    assert list(told["confusion"].values()) == [*table[0], *table[1]]
    agreement, seen = told["agreement"], sum(one == other for one, other in both) / len(both)
    kappa = cohens_kappa(table)
    assert agreement["raw"]["value"] == pytest.approx(seen)
    assert agreement["kappa"]["value"] == pytest.approx(kappa.kappa)
    assert (agreement["kappa"]["low"], agreement["kappa"]["high"]) == pytest.approx((kappa.kappa_low, kappa.kappa_upp))
    rate = sum(one + other for one, other in both) / (2 * len(both))
    chance = 2 * rate * (1 - rate)
    assert agreement["ac1"]["value"] == pytest.approx((seen - chance) / (1 - chance))
    raters = [[float(vote) for vote in rater] for rater in zip(*both, strict=True)]
    alpha = krippendorff.alpha(raters, level_of_measurement="nominal", value_domain=[0.0, 1.0])
    assert agreement["alpha"]["value"] == pytest.approx(alpha)

    worth = {name: {Favoured.HEAD: 1.0, Favoured.BASE: 0.0}.get(one, 0.5) for name, one in favoured.items()}
    people = np.array([float(human[name] == 2) for name in worth if name in sample])
    judge = np.array([one for name, one in worth.items() if name in sample])
    others = np.array([one for name, one in worth.items() if name not in sample])
    n, rest = len(people), len(others)
    weight = np.cov(people, judge, ddof=0)[0, 1] / ((1 + n / rest) * np.var(np.append(judge, others), ddof=1))
    weight = float(np.clip(weight, 0, 1))
    apart = people - weight * judge
    value = weight * others.mean() + apart.mean()
    half = t.ppf(0.975, n - 1) * np.sqrt(apart.var(ddof=1) / n + weight**2 * others.var(ddof=1) / rest)
    (whole,) = told["rates"]
    assert (whole["judged"], whole["labels"]) == (count, len(sample))
    assert whole["judge_rate"] == pytest.approx(np.mean(list(worth.values())))
    corrected = whole["corrected"]
    assert (corrected["value"], corrected["low"], corrected["high"]) == pytest.approx(
        (value, value - half, value + half)
    )


def label(folder: Path, cases: list[dict[str, Any]], names: set[str]) -> None:
    """Call the output that the human preferred good, and the other bad."""
    from evalh.api.labels import labelling

    best = {case["id"]: case[f"output_{case['human_label']}"] for case in cases}
    work = labelling(Workspace.open(folder), "answer", author="people")
    for question in work.questions(10_000):
        if question.candidate.case_id in names:
            work.answer(question, good=question.text == best[question.candidate.case_id], note=None)


def test_a_judge_of_pairs_that_was_changed_or_never_asked_is_told(tmp_path: Path, real_data: Path) -> None:
    cases = read(real_data / "llmbar/natural-cases.jsonl.gz")[:10]
    names = {case["id"] for case in cases}
    every = read(real_data / "llmbar/natural-outputs.jsonl.gz")
    outputs = [row for row in every if row["id"] in names and row["prompt"] == "Vanilla"]
    with fault_server(Recorded(cases, outputs)) as server:
        workspace(tmp_path, server.port)
        two_versions(tmp_path, cases, "Vanilla@v1", "GPT-4")
        before = here(tmp_path, "calibrate", "prefer")
        assert here(tmp_path, "compare", "v1", "v2", "--suite", "answer", env={"OPENAI_API_KEY": "k"}).exit == 0
        assert here(tmp_path, "calibrate", "prefer").exit == 0
        suite = tmp_path / "evals/answer.yaml"
        suite.write_text(suite.read_text().replace("GPT-4", "LLaMA2"))
        checked = here(tmp_path, "check")
        changed = here(tmp_path, "calibrate", "prefer")

    assert (before.exit, changed.exit) == (2, 2)
    assert "evalh compare BASE HEAD --suite answer" in before.err
    assert "of the current judge" in changed.err
    assert "stale, prefer was changed" in checked.out + checked.err


def two_versions(folder: Path, cases: list[dict[str, Any]], rubric: str = "CoT@v1", judge: str = "ChatGPT") -> None:
    for name in ("evals", "datasets", "recorded", "prompts/answer"):
        (folder / name).mkdir(parents=True)
    for number in (1, 2):
        text = f"---\ndescription: version {number}\ninput: {{schema: {{instruction: string}}}}\n---\n{{{{instruction}}}}\n"
        (folder / f"prompts/answer/v{number}.prompt").write_text(text + " " * number)
        rows_of = [{"id": case["id"], "output": case[f"output_{number}"]} for case in cases]
        (folder / f"recorded/v{number}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_of))
    rows_of = [{"id": case["id"], "inputs": {"instruction": case["instruction"]}} for case in cases]
    (folder / "datasets/answer.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_of))
    (folder / "evals/answer.yaml").write_text(
        "prompt: answer\ndataset: answer\nmodel: recorded\ngraders:\n  - length: {max_chars: 100000}\n"
        f"compare:\n  - prefer: {{rubric: {rubric}, model: {judge}}}\n"
    )
    with (folder / "evalh.toml").open("a") as config:
        config.write('[models.recorded]\nprovider = "replay"\nmodel = "{version}"\npath = "recorded/{version}.jsonl"\n')


def test_every_recorded_reply_is_read_as_its_recorded_winner(real_data: Path) -> None:
    count = nobody = 0
    for name in ("natural", "neighbor"):
        cases = {case["id"]: case for case in read(real_data / f"llmbar/{name}-cases.jsonl.gz")}
        for row in read(real_data / f"llmbar/{name}-outputs.jsonl.gz"):
            graded = cases[row["id"]]["output_1"], cases[row["id"]]["output_2"]
            try:
                said = read_reply(row["output"], Sought(parts=(PART,), reasoned=False), graded).values[0]
            except UnreadableReplyError:
                said = None
            assert _winner(said, row["swapped"]) == row["winner"], row["output"]
            count, nobody = count + 1, nobody + (said is None)

    assert (count, nobody) == (8_424, NO_WINNER)
