"""How a pipeline's values become rows: its run's steps, and what became of each step in a sample.

A value above 4 kB is stored once, by its digest: what one step gives is what others are handed.
"""

from evalh.core.digest import digest_bytes
from evalh.core.run import RunRecord
from evalh.core.sample import Graded, Sample, SampleWord, StepResult
from evalh.core.strict_json import JsonValue
from evalh.store.columns import dollars, json_text, stored
from evalh.store.rows import NULL, SAMPLE, Row, insert, latency_row, nullable, text_or_null, verdict_row

INSERT_RUN_STEP = insert(
    "run_steps",
    "run_id position step prompt? prompt_digest? function? function_digest? model? reads settings?",
)
INSERT_PIPELINE_SAMPLE = insert("samples", f"{SAMPLE} word first_bad? responsible step_output? review?")
INSERT_STEP_RESULT = insert(
    "step_results",
    "sample_id position step state reason? grade? word? tainted inputs? large_inputs? output? large_output? call_id?"
    " answered_by? cache_hit cost_usd? cached_cost_usd? judge_cost_usd? attempts latency_ms? waited_ms? checks_ms?",
)
INSERT_STEP_VERDICT = insert("step_verdicts", "sample_id step position grader required outcome score? reason detail?")
INSERT_TEXT = insert("texts", "digest text", "insert or ignore")

LARGE = 4096
"""Characters of JSON."""


def run_step_rows(record: RunRecord) -> list[Row]:
    """Build the steps of a run."""
    return [
        (
            record.id,
            position,
            stored(one.step),
            text_or_null(one.prompt),
            nullable(one.prompt_digest),
            text_or_null(one.function),
            nullable(one.function_digest),
            text_or_null(one.model),
            json_text(one.reads),
            NULL if one.settings_document is None else json_text(one.settings_document),
        )
        for position, one in enumerate(record.steps)
    ]


def pipeline_columns(sample: Sample) -> Row:
    """Build what a pipeline's sample says beyond a plain one's columns."""
    story, completion = sample.story, sample.completion
    given_by_no_model = completion is not None and sample.attempt_id is None
    return (
        str(SampleWord.NOT_KNOWN if story is None else story.word),
        NULL if story is None else text_or_null(story.first_bad),
        json_text([] if story is None else story.responsible),
        stored(completion.text) if completion is not None and given_by_no_model else NULL,
        text_or_null(sample.review),
    )


def step_row(sample_id: str, position: int, result: StepResult, texts: dict[str, Row]) -> Row:
    """Build a step's result; `texts` collects what is stored by digest."""
    inputs, large_inputs = _handed(result.inputs, texts)
    output, large_output = _value(result.output, texts) if result.gave else (NULL, NULL)
    return (
        sample_id,
        position,
        stored(result.step),
        str(result.state),
        text_or_null(result.reason),
        NULL if result.grade is None else str(result.grade),
        NULL if result.word is None else str(result.word),
        int(result.tainted),
        inputs,
        large_inputs,
        output,
        large_output,
        nullable(result.call_id),
        nullable(result.attempt_id),
        int(result.cache_hit),
        nullable(dollars(result.cost_usd)),
        nullable(dollars(result.cached_cost_usd)),
        nullable(dollars(result.judge_cost_usd)),
        result.attempts,
        *latency_row(result.latency),
    )


def _handed(inputs: JsonValue, texts: dict[str, Row]) -> tuple[str | int, str | int]:
    """Return inputs as JSON, and apart the large ones by their digests."""
    if inputs is None:
        return NULL, NULL
    whole = json_text(inputs)
    if len(whole) <= LARGE or not isinstance(inputs, dict):
        return whole, NULL
    small: dict[str, JsonValue] = {}
    large: dict[str, JsonValue] = {}
    for name, value in inputs.items():
        _, kept = _value(value, texts)
        if kept == NULL:
            small[name] = value
        else:
            large[name] = kept
    return json_text(small), json_text(large) if large else NULL


def _value(value: JsonValue, texts: dict[str, Row]) -> tuple[str | int, str | int]:
    """Return a value as JSON, or as the digest by which it is kept in `texts`."""
    text = json_text(value)
    if len(text) <= LARGE:
        return text, NULL
    digest = digest_bytes(text.encode())
    texts[digest] = (digest, text)
    return NULL, digest


def step_verdict_row(sample_id: str, step: str, position: int, graded: Graded) -> Row:
    """Build one grader's verdict on one step."""
    return (sample_id, stored(step), *verdict_row(sample_id, position, graded)[1:])
