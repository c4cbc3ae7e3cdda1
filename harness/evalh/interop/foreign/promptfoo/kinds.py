"""The kinds of promptfoo's assertions: their names, in the order in which a CSV cell is matched, and what is lost."""

import re

KINDS = tuple(
    """agent-rubric answer-relevance bleu classifier contains contains-all contains-any contains-html contains-json
    contains-sql contains-xml context-faithfulness context-recall context-relevance conversation-relevance cost equals
    factuality finish-reason g-eval gleu guardrails icontains icontains-all icontains-any is-html is-json is-refusal
    is-sql is-valid-function-call is-valid-openai-function-call is-valid-openai-tools-call is-xml javascript latency
    levenshtein llm-rubric pi meteor model-graded-closedqa model-graded-factuality moderation perplexity
    perplexity-score python regex rouge-n ruby similar similar:cosine similar:dot similar:euclidean starts-with
    tool-call-f1 skill-used trajectory:goal-success trajectory:tool-args-match trajectory:step-count
    trajectory:tool-sequence trajectory:tool-used trace-error-spans trace-span-count trace-span-duration search-rubric
    webhook word-count""".split()  # noqa: SIM905 (a list of words, as the program's own)
)

CELL = re.compile(
    rf"(?P<type>(?:not-)?(?P<base>{'|'.join(KINDS)}))(?:\((?P<mark>\d+(?:\.\d+)?)\))?(?::(?P<value>.*))?", re.DOTALL
)

_OVERLAP = (
    "compares with a measure of overlap that evalh does not have",
    "similarity: {measure: token_f1, pass_mark: …}",
)
_MARKUP = ("reads a markup language or SQL", "a `python` grader with a parser of that language")
_CONTEXT = (
    "asks a model about the context of a retrieval",
    "a judge with a rubric; `cites` checks quotes without a model",
)
_SERVICE = ("asks a service of its own", "a `python` grader that asks it, or a judge")
_SPANS = ("reads the spans of a traced program", "evalh collect; checks of a pipeline's steps")

LOST: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("bleu", "gleu", "meteor", "rouge-n"), _OVERLAP),
    **dict.fromkeys(("is-sql", "contains-sql", "is-xml", "contains-xml", "is-html", "contains-html"), _MARKUP),
    **dict.fromkeys(("context-faithfulness", "context-recall", "context-relevance"), _CONTEXT),
    **dict.fromkeys(("moderation", "guardrails", "classifier", "pi", "webhook", "search-rubric"), _SERVICE),
    **{kind: _SPANS for kind in KINDS if kind.startswith(("trajectory:", "trace-"))},
    "skill-used": _SPANS,
    "agent-rubric": ("lets an agent judge", "a judge with a rubric"),
    "conversation-relevance": ("reads a conversation of several tests", "a judge with a rubric"),
    "ruby": ("is a program in Ruby", "a `python` grader"),
    "perplexity": ("needs log-probabilities", "logprob: {mean_at_least: …}, and logprobs = true in the model's params"),
    "perplexity-score": ("needs log-probabilities", "logprob: {mean_at_least: …}, and logprobs in the model's params"),
    "similar:dot": ("compares vectors by another measure than the cosine", "embedding_similarity"),
    "similar:euclidean": ("compares vectors by another measure than the cosine", "embedding_similarity"),
    "max-score": ("compares the outputs of several models or prompts", "evalh compare"),
    "select-best": ("compares the outputs of several models or prompts", "compare: [{prefer: {rubric: …, model: …}}]"),
}
"""Kinds that have no counterpart: why, and what to do."""
