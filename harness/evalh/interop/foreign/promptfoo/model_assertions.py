"""Assertions that ask a model: judges with a rubric, and embeddings."""

import json
from collections.abc import Callable, Mapping
from math import ceil

from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.promptfoo.entries import ForeignAssertion, GraderEntry, NoEntryError

JudgeOf = Callable[[JsonValue], str]
"""Returns the name of the model that a stated provider means; of the default judge for null."""

_OTHER_JUDGE = "the judge's own prompt differs"
_STEPS = 10
_SIMILAR = 0.75
_G_EVAL = 0.7
_CLOSED = "The submission meets this criterion: "
_FACTS = """The answer agrees with these facts. It may say more or less than they do, in other words, as long as
nothing in it contradicts them:
"""
_RELEVANT = "The answer is relevant to the question that was asked, and answers it."


def rubric_of(asked: ForeignAssertion) -> str:
    """Return a rubric's text. Raises NoEntryError."""
    value = asked.value
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str) or not value.strip():
        raise NoEntryError("has no rubric")
    return value.strip()


def _judge(asked: ForeignAssertion, rubric: str, judge: JudgeOf, mark: float | None) -> GraderEntry:
    stated = asked.node.raw("provider").value or asked.options.get("provider")
    params: dict[str, JsonValue] = {"rubric": rubric, "model": judge(stated), "scale": "pass/fail"}
    if mark is not None and mark > 0:
        params |= {"scale": f"0-{_STEPS}", "pass_mark": min(_STEPS, ceil(mark * _STEPS))}
    entry = GraderEntry(kind="judge", params=params).nearly(
        _OTHER_JUDGE, "evalh label and evalh calibrate show how good it is"
    )
    if asked.options.get("rubricPrompt") or asked.node.has("rubricPrompt"):
        return entry.nearly("the source's rubricPrompt is not used", "a prompt version that judges: rubric: NAME@v1")
    return entry


def _llm_rubric(asked: ForeignAssertion, judge: JudgeOf) -> GraderEntry:
    return _judge(asked, rubric_of(asked), judge, asked.threshold)


def _closed_qa(asked: ForeignAssertion, judge: JudgeOf) -> GraderEntry:
    return _judge(asked, _CLOSED + rubric_of(asked), judge, None)


def _factuality(asked: ForeignAssertion, judge: JudgeOf) -> GraderEntry:
    return _judge(asked, _FACTS + rubric_of(asked), judge, None)


def _g_eval(asked: ForeignAssertion, judge: JudgeOf) -> GraderEntry:
    value = asked.value
    rubric = "\n".join(map(str, value)) if isinstance(value, list) else rubric_of(asked)
    return _judge(asked, rubric, judge, _G_EVAL if asked.threshold is None else asked.threshold)


def _answer_relevance(asked: ForeignAssertion, judge: JudgeOf) -> GraderEntry:
    entry = _judge(asked, _RELEVANT, judge, asked.threshold)
    return entry.nearly("promptfoo compares embeddings of questions that a model writes")


def _similar(asked: ForeignAssertion, judge: JudgeOf) -> GraderEntry:
    value = asked.value
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) and text for text in texts):
        raise NoEntryError("needs a text, or a list of texts")
    mark = _SIMILAR if asked.threshold is None else asked.threshold
    stated = asked.node.raw("provider").value or asked.options.get("provider")
    stated = stated.get("embedding") if isinstance(stated, Mapping) else stated
    params = {"model": judge({"embedding": stated}), "pass_mark": mark, "value": value, "required": True}
    return GraderEntry(kind="embedding_similarity", params=params).nearly(
        "the model of the embeddings must be the same one"
    )


READERS: dict[str, Callable[[ForeignAssertion, JudgeOf], GraderEntry]] = {
    "llm-rubric": _llm_rubric,
    "model-graded-closedqa": _closed_qa,
    "model-graded-factuality": _factuality,
    "factuality": _factuality,
    "g-eval": _g_eval,
    "answer-relevance": _answer_relevance,
    "similar": _similar,
    "similar:cosine": _similar,
}
"""What reads each of these kinds."""
