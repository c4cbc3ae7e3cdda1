"""Assertions about the output's text, its JSON, its length, its cost: those that ask no model and run no code."""

from collections.abc import Callable
from math import isfinite

from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.promptfoo.code_assertions import as_code
from evalh.interop.foreign.promptfoo.csv_tests import split_list
from evalh.interop.foreign.promptfoo.entries import ForeignAssertion, GraderEntry, NoEntryError
from evalh.interop.foreign.promptfoo.js_patterns import OtherPatternError, quoted, re2_pattern
from evalh.interop.foreign.promptfoo.nunjucks import js_text
from evalh.workspace.yaml import parse_yaml

_EXACT = {"normalize": "none"}  # code points are compared, as JavaScript does
_DRAFT_7 = "http://json-schema.org/draft-07/schema#"


def _equals(asked: ForeignAssertion) -> GraderEntry:
    if "value" not in asked.node.names:
        raise NoEntryError("has no value")
    value = asked.value
    if value is None or isinstance(value, list | dict):
        return GraderEntry(kind="equals", params={"value": value, **_EXACT})
    return GraderEntry(kind="equals", params={"value": js_text(value), **_EXACT})


def _contains(asked: ForeignAssertion) -> GraderEntry:
    number = isinstance(asked.value, int | float) and not isinstance(asked.value, bool)
    value = js_text(asked.value) if number else asked.text
    return GraderEntry(kind="contains", params={"value": value, **_EXACT})


def _contains_all(asked: ForeignAssertion) -> GraderEntry:
    return GraderEntry(kind="contains", params={"value": _list(asked), **_EXACT})


def _contains_any(asked: ForeignAssertion) -> GraderEntry:
    return GraderEntry(kind="contains", params={"value": _list(asked), "match": "any", **_EXACT})


def _list(asked: ForeignAssertion) -> list[str]:
    value = asked.value
    if isinstance(value, str) and value:
        try:
            value = split_list(value, asked.node.where)
        except WorkspaceError as exc:
            raise NoEntryError(f"{exc.what}; promptfoo stops with an error here") from None
    if not isinstance(value, list) or not value:
        raise NoEntryError("needs a list, or a text with commas")
    return [one for one in map(js_text, value) if one] or [""]


def _ignoring_case(reader: Callable[[ForeignAssertion], GraderEntry]) -> Callable[[ForeignAssertion], GraderEntry]:
    def read(asked: ForeignAssertion) -> GraderEntry:
        entry = reader(asked)
        entry = GraderEntry(kind=entry.kind, params={**entry.params, "ignore_case": True})
        texts = entry.params["value"]
        if "".join(texts).isascii():
            return entry
        return entry.nearly("letters outside of ASCII are compared by Unicode's case folding")

    return read


def _starts_with(asked: ForeignAssertion) -> GraderEntry:
    return GraderEntry(kind="regex", params={"pattern": f"^{quoted(asked.text)}", **_EXACT})


def _regex(asked: ForeignAssertion) -> GraderEntry:
    if asked.text.startswith("(?i)") or "(?P<" in asked.text:
        raise NoEntryError(
            "is not a pattern that JavaScript reads: every output fails in promptfoo", "correct the pattern"
        )
    try:
        pattern, near = re2_pattern(asked.text)
    except OtherPatternError as exc:
        code = as_code(asked)
        return GraderEntry(kind=code.kind, params=code.params, why=f"RE2 has no {exc}: JavaScript matches it")
    entry = GraderEntry(kind="regex", params={"pattern": pattern, **_EXACT})
    return entry.nearly(r"\b is a boundary of words in every script, not only in ASCII") if near else entry


def _is_json(asked: ForeignAssertion) -> GraderEntry:
    if not asked.value:
        return GraderEntry(kind="json", params={})
    return GraderEntry(kind="schema", params={"schema": _schema(asked)})


def _contains_json(asked: ForeignAssertion) -> GraderEntry:
    why = "JSON inside of prose is not looked for: the output, or one fenced block, must be JSON"
    if not asked.value:
        return as_code(asked).nearly("JSON in prose is found by its brackets")
    return GraderEntry(kind="schema", params={"schema": _schema(asked), "fenced": True}).nearly(why)


def _schema(asked: ForeignAssertion) -> JsonValue:
    schema = asked.value
    if isinstance(schema, str):
        try:
            schema = parse_yaml(schema, asked.node.where, foreign=True).value
        except WorkspaceError as exc:
            raise NoEntryError(f"its schema {exc.what}") from None
    if not isinstance(schema, dict):
        raise NoEntryError("its schema is not an object")
    return schema if "$schema" in schema else {"$schema": _DRAFT_7, **schema}


def _levenshtein(asked: ForeignAssertion) -> GraderEntry:
    if not isinstance(asked.value, str):
        raise NoEntryError("needs a text")
    return as_code(asked)


def _word_count(asked: ForeignAssertion) -> GraderEntry:
    value = asked.value
    if isinstance(value, dict):
        bounds = {"min_words": value.get("min"), "max_words": value.get("max")}
    else:
        number = _whole(value)
        bounds = {"min_words": number, "max_words": number}
    params = {name: _whole(bound) for name, bound in bounds.items() if bound is not None}
    if not params:
        raise NoEntryError("needs a number, or min and max")
    return GraderEntry(kind="length", params=params)


def _whole(value: JsonValue) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or not isfinite(number) or not number.is_integer() or number < 0:
        raise NoEntryError("needs a whole number of words")
    return int(number)


def _latency(asked: ForeignAssertion) -> GraderEntry:
    why = "promptfoo stops with an error at an answer from its cache; evalh counts the original latency"
    return GraderEntry(kind="latency", params={"max_ms": _bound(asked)}).nearly(why)


def _cost(asked: ForeignAssertion) -> GraderEntry:
    why = "promptfoo stops with an error where the cost is unknown; evalh abstains. Retries count here"
    return GraderEntry(kind="cost", params={"max_usd": _bound(asked)}).nearly(why)


def _bound(asked: ForeignAssertion) -> float | int:
    if asked.threshold is None:
        raise NoEntryError("has no threshold; promptfoo stops with an error here")
    return asked.threshold


def _is_refusal(asked: ForeignAssertion) -> GraderEntry:
    del asked
    return GraderEntry(kind="not", params={"grader": "refusal"}).nearly("evalh recognizes a refusal by other words")


def _valid_tools_call(asked: ForeignAssertion) -> GraderEntry:
    del asked
    why = "an answer without any call passes in evalh, and fails in promptfoo"
    return GraderEntry(kind="tool_calls", params={"valid": True}).nearly(why)


def _tool_call_f1(asked: ForeignAssertion) -> GraderEntry:
    value = asked.value.split(",") if isinstance(asked.value, str) else asked.value
    if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
        raise NoEntryError("needs the names of tools")
    calls = {"tool_calls": {"value": [one.strip() for one in value], "arguments": "ignore"}}
    mark = 1 if asked.threshold is None else asked.threshold
    entry = GraderEntry(kind="weighted", params={"graders": [calls], "threshold": mark})
    return entry.nearly("the score is the share of calls that match, not their F1")


READERS: dict[str, Callable[[ForeignAssertion], GraderEntry]] = {
    "equals": _equals,
    "contains": _contains,
    "contains-all": _contains_all,
    "contains-any": _contains_any,
    "icontains": _ignoring_case(_contains),
    "icontains-all": _ignoring_case(_contains_all),
    "icontains-any": _ignoring_case(_contains_any),
    "starts-with": _starts_with,
    "regex": _regex,
    "is-json": _is_json,
    "contains-json": _contains_json,
    "levenshtein": _levenshtein,
    "word-count": _word_count,
    "latency": _latency,
    "cost": _cost,
    "is-refusal": _is_refusal,
    "is-valid-openai-tools-call": _valid_tools_call,
    "is-valid-function-call": _valid_tools_call,
    "is-valid-openai-function-call": _valid_tools_call,
    "tool-call-f1": _tool_call_f1,
}
"""What reads each of these kinds."""
