"""`evalh show SAMPLE` of a pipeline: its steps on a time axis, what was handed in, where it went wrong first."""

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from evalh.core.attempt import Latency
from evalh.core.sample import SampleWord, Standing, StepGrade, StepResult, StepState, StepWord, Story
from evalh.store import open_store
from unit.store.playing import FAIL, PASS, FixedClock, Play, make_record
from unit.store.refund import POISONED, Pipeline
from workspaces import document, evalh, write_workspace

GOLDEN = Path(__file__).parent / "golden/show-steps.txt"
WRITE = os.environ.get("EVALH_GOLDEN") == "write"
WIDE = {**os.environ, "COLUMNS": "100"}
HOSTILE = "\x1b[31mred\n::error::{first} \u202e" + "long " * 400


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with a sample for each way in which a pipeline can end."""
    folder = write_workspace(tmp_path_factory.mktemp("steps"))
    store = open_store(folder / ".evalh", clock=FixedClock(), gather_s=0.001)
    play = Play(store)
    pipeline = Pipeline(play)
    pipeline.sample("poisoned")
    pipeline.sample("hostile", email=HOSTILE, order={HOSTILE: HOSTILE})
    extract = StepResult(
        step="extract",
        state=StepState.RAN,
        reason=f"{FAIL.grader}: {FAIL.verdict.reason}",
        grade=StepGrade.BAD,
        word=StepWord.ORIGIN,
        tainted=True,
        inputs={"email": "Where is it?"},
        output={},
        call_id="r1:1",
        cache_hit=True,
        cached_cost_usd=Decimal("0.0002"),
        latency=Latency(90.0),
        verdicts=(FAIL,),
    )
    stopped = StepResult(
        step="order", state=StepState.STOPPED, reason="'extract': equals: label is bug, expected billing"
    )
    pipeline.sample(
        "stopped",
        steps=(extract, stopped, StepResult(step="reply", state=StepState.STOPPED, reason=stopped.reason)),
        story=Story(word=SampleWord.NOT_KNOWN, first_bad="extract"),
        completion=None,
        review="'extract': equals: label is bug, expected billing",
    )
    given = StepResult(step="order", state=StepState.GIVEN, output={"state": "late"})
    mended = StepResult(
        step="reply",
        state=StepState.RAN,
        grade=StepGrade.GOOD,
        word=StepWord.RECOVERED,
        tainted=True,
        inputs={"order": {"state": "late"}},
        output="It is late.",
        call_id="r1:2",
        cost_usd=None,
        attempts=1,
        verdicts=(PASS,),
    )
    failed = StepResult(step="log", state=StepState.FAILED, reason="steps/log.py:7: KeyError: 'id'")
    pipeline.sample(
        "mended",
        steps=(extract, given, mended, failed),
        story=Story(word=SampleWord.RECOVERED, first_bad="extract"),
        standing=Standing.GOOD,
    )
    play.finish()
    store.start_run(make_record("r2"))
    Play(store, "r2").good("plain")
    store.close()
    return folder


def test_a_pipelines_samples_are_shown_word_for_word(workspace: Path) -> None:
    shown = ""
    for case in ("poisoned", "stopped", "mended"):
        done = evalh(workspace, "show", f"r1/{case}/0", env=WIDE)
        assert (done.returncode, done.stderr) == (0, "")
        shown += f"$ evalh show r1/{case}/0\n{done.stdout}\n"

    if WRITE:
        GOLDEN.write_text(shown, encoding="utf-8")
    assert shown == GOLDEN.read_text(encoding="utf-8")


def test_text_from_strangers_is_inert_and_cut(workspace: Path) -> None:
    shown = evalh(workspace, "show", "r1/hostile/0", env=WIDE).stdout

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert not any(line.startswith("::error") for line in shown.splitlines())
    assert shown.count("long") < 400


def test_a_case_shows_its_steps_too(workspace: Path) -> None:
    shown = evalh(workspace, "show", "poisoned", env=WIDE)

    assert "poisoned: `extract` was bad first" in shown.stdout


@pytest.mark.parametrize("word", SampleWord)
@pytest.mark.parametrize("known", [True, False])
def test_every_word_has_a_sentence_that_names_its_steps(tmp_path: Path, word: SampleWord, known: bool) -> None:
    folder = write_workspace(tmp_path)
    store = open_store(folder / ".evalh", clock=FixedClock(), gather_s=0.001)
    story = Story(word=word, first_bad="extract" if known else None, responsible=POISONED.responsible)
    Pipeline(Play(store)).sample(story=story)
    store.close()

    done = evalh(folder, "show", "r1/t-1/0", env=WIDE)

    (line,) = [line for line in done.stdout.splitlines() if line.startswith(f"{word.value}: ")]
    assert "{" not in line
    assert "None" not in line


def test_the_document_has_every_step_whole(workspace: Path) -> None:
    told = document(evalh(workspace, "show", "r1/hostile/0", "--json"))["sample"]

    assert told["sample"]["story"] == {"word": "poisoned", "first_bad": "extract", "responsible": ["extract"]}
    assert [one["step"] for one in told["sample"]["steps"]] == ["extract", "order", "reply", "log"]
    assert told["sample"]["steps"][0]["inputs"] == {"email": HOSTILE}
    assert [one["reads"] for one in told["asked"]] == [[], ["extract"], ["order"], []]


def test_the_document_of_a_plain_sample_says_nothing_about_steps(workspace: Path) -> None:
    told = evalh(workspace, "show", "r2/plain/0", "--json").stdout

    for key in ("steps", "story", "step_output", "review", "given", "asked"):
        assert key not in json.loads(told)["sample"]
        assert f'"{key}"' not in told
