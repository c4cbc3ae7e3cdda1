"""The digests of graders: what an accepted baseline and a stored verdict are found by must not change by itself.

Every kind is stated bare, and with each of its parameters: at its default, where it has one, and at another value.
A line of the golden file that changes makes every user's baseline stale: raise a kind's `semantics` on purpose only.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalh.core.declared import keys_of
from evalh.core.digest import digest
from evalh.core.suite import GraderSpec
from evalh.graders.judges.prefer import build_prefer
from evalh.graders.registry import BUILT_IN, build_all, built_in_kind, graders_digest
from grading import NoTexts
from grading import environment as grading_environment

GOLDEN = Path(__file__).parent / "golden" / "digests.json"
WRITE = os.environ.get("EVALH_GOLDEN") == "write"

PLACE: dict[str, list[Any]] = {"path": ["label", None], "fenced": [True, False]}
COMPARED: dict[str, list[Any]] = {
    **PLACE,
    "expected": ["label", None],
    "ignore_case": [True, False],
    "trim": [True, False],
    "normalize": ["nfkc", "nfc", "none"],
}
TOLERANCE: dict[str, list[Any]] = {"abs_tol": [0.5, 1, 0.0, 0], "rel_tol": [0.1, 0.0]}
AGREEMENT: dict[str, list[Any]] = {"by": ["json", "number", "label"], "path": ["label", None], "after": ["#", None]}

EACH: dict[str, tuple[dict[str, Any], dict[str, list[Any]]]] = {
    "all_of": ({"graders": ["json", {"contains": "a"}]}, {"graders": [["json"], [{"length": {"max_words": 3}}]]}),
    "any_of": ({"graders": ["json", {"contains": "a"}]}, {"graders": [["json"]]}),
    "case": ({}, {"none": ["pass", "abstain"]}),
    "cites": (
        {"ids": "ids", "of": "inputs.ids", "quotes": "quotes", "in": "inputs.texts"},
        {"ids": ["c[*].id"], "of": ["search", ["inputs.a", "search"]], "quotes": ["c[*].quote"],
         "in": ["search", ["inputs.a", "search"]], "at_least": [1, 0], "fenced": [True, False]},
    ),
    "contains": (
        {"value": "a"},
        {
            **{name: values for name, values in COMPARED.items() if name not in ("trim", "expected")},
            "value": [["a", "b"], "é"],
            "match": ["any", "all"],
        },
    ),
    "contradiction": ({"after": "####"}, {"after": ["A:"], "fenced": [True, False]}),
    "cost": ({"max_usd": 0.002}, {"max_usd": [1, 0, 2.5]}),
    "embedding_similarity": (
        {"model": "m", "pass_mark": 0.9},
        {**PLACE, "expected": ["label"], "pass_mark": [1, 0.5], "value": ["a", ["a", "b"]]},
    ),
    "equals": ({}, {**COMPARED, "value": ["a", None, 1, 1.0, True, {"a": [1, 2.5]}, []]}),
    "hedging": ({}, {"max_per_100_words": [0.0, 0, 2, 1.5], "also": [[], ["sort of"]]}),
    "javascript": (
        {"code": "true"},
        {
            "code": ["output > 1"],
            "transform": ["output.trim()", ["a", "b"], []],
            "parse": [True, False],
            "config": [{"a": 1}, None],
            "threshold": [0.5, 1, None],
            "throws": ["fail", "error"],
        },
    ),
    "json": ({}, {"fenced": [True, False]}),
    "json_fields": (
        {"fields": {"label": 2, "order.id": 1.5}},
        {
            **COMPARED,
            "fields": [{"a": 1}, {"a": {"weight": 2, "critical": True, "abs_tol": 1}}, {"a": {"expected": "b"}}],
            "pass_mark": [1, 1.0, 0.5],
        },
    ),
    "json_subset": (
        {},
        {**COMPARED, **TOLERANCE, "value": [{"a": 1}], "lists": ["any_order", "ordered"], "pass_mark": [1, 0.5]},
    ),
    "judge": (
        {"rubric": "It is polite.", "model": "m", "scale": "pass/fail"},
        {
            "rubric": ["It is short."],
            "model": ["other"],
            "scale": ["pass/fail"],
            "criteria": [{"polite": "Is it?", "right": "Is it right?"}],
            "reference": [True, False],
            "show": [["order"], ["order", "find"], []],
            "temperature": [0.7, 1, 0, 0.0],
            "max_tokens": [64, 1024],
        },
    ),
    "language": (
        {},
        {**PLACE, "value": ["en", ["en", "de"]], "input": ["ticket"], "expected": ["language"], "sure": [0.9, 0.8],
         "min_letters": [5, 20]},
    ),
    "latency": ({"max_ms": 800}, {"max_ms": [0, 1.5, 800.0]}),
    "leaked_prompt": ({}, {"max_words": [5, 15], "max_share": [1, 0.3], "allow": [[], ["hello"]]}),
    "length": (
        {"max_words": 5},
        {f"{end}_{unit}": [3, 0] if end == "min" else [9] for end in ("min", "max")
         for unit in ("chars", "words", "tokens")},
    ),
    "logprob": ({"mean_at_least": -0.2}, {"mean_at_least": [-1, 0], "min_at_least": [-3.5, None]}),
    "not": ({"grader": {"contains": "a"}}, {"grader": ["json", {"length": {"max_words": 3}}]}),
    "number": (
        {},
        {
            **PLACE,
            **TOLERANCE,
            "value": [1, 1.5, 10**30],
            "expected": ["label"],
            "which": ["first", "last"],
            "after": ["####"],
            "expected_after": ["####"],
            "locale": ["de", None],
            "decimal_comma": [True, False],
            "fractions": [True, False],
        },
    ),
    "one_of": ({}, {**COMPARED, "values": [["a"], ["a", 1, None]]}),
    "pii": ({}, {"kinds": [["email"], ["email", "phone"], None], "allow": [[], ["@a.org"]], "allow_input": [True]}),
    "python": (
        {"function": "evals/checks.py:polite"},
        {"args": [{}, {"limit": 3}], "deadline_s": [2, 1.5, None], "semantics": [2, 1]},
    ),
    "refusal": ({}, {"also": [[], ["no can do"]]}),
    "regex": (
        {"pattern": "(a)(b)", "value": "a"},
        {
            **{name: values for name, values in COMPARED.items() if name not in ("trim", "expected")},
            "pattern": ["(c)"],
            "value": ["b"],
            "group": [0, 1, None],
            "which": ["last", "first"],
        },
    ),
    "repetition": (
        {},
        {**PLACE, "max_share": [1, 0.5], "max_in_a_row": [2, 5], "max_compression": [1, 5, 5.0, 9.5]},
    ),
    "revision_stability": ({}, {**AGREEMENT, "fenced": [True, False]}),
    "schema": (
        {},
        {"schema": [{"type": "object"}, None], "pydantic": ["evals/m.py:M", None], "formats": [False, True],
         "fenced": [True, False]},
    ),
    "self_consistency": (
        {},
        {**AGREEMENT, "k": [1, 5, 50], "threshold": [1, 0, 0.6], "fenced": [True, False], "temperature": [1, 0.8]},
    ),
    "self_critique": (
        {},
        {**PLACE, "critics": [1, 3], "threshold": [1, 0.6], "model": ["m", None], "after": ["####"],
         "temperature": [0, 0.8], "max_tokens": [64, 512]},
    ),
    "similarity": (
        {"pass_mark": 0.8},
        {**PLACE, "pass_mark": [1, 0.5], "measure": ["ratio", "token_f1"], "value": ["a", ["a", "b"]],
         "expected": ["label"], "ignore_case": [True, False]},
    ),
    "tool_calls": (
        {},
        {
            "value": [[], ["refund"], [{"name": "refund", "arguments": {"order": 17}}]],
            "expected": ["calls"],
            "arguments": ["subset", "ignore", "same"],
            "order": ["same", "any"],
            "allow_more": [True, False],
            "forbidden": [[], ["delete"]],
            "valid": [True, False],
        },
    ),
    "truncation": ({}, {"sentence": [False, True]}),
    "weighted": (
        {"graders": ["json", {"contains": {"value": "a", "weight": 2}}]},
        {
            "graders": [["json", {"contains": "a"}], ["json", {"contains": {"value": "a", "name": "says"}}]],
            "threshold": [0.5, 1, 0, None],
        },
    ),
}  # fmt: skip
MORE: list[dict[str, Any]] = [
    {"regex": {"value": "a+"}},
    {"regex": {"pattern": "(?P<n>a)", "group": "n", "expected": "$"}},
    {"contains": {"expected": "label"}},
    {"contains": {"expected": "label", "required": False}},
    {"contradiction": {"path": "answer", "rationale": "why"}},
    {"javascript": {"file": "evals/a.js:name"}},
    {"judge": {"rubric": "It is polite.", "models": ["m", "m", "n"], "scale": "1-5", "pass_mark": 4}},
    {"not": {"equals": "a"}},
    *({kind: {"value": value}} for kind, value in (("latency", 800), ("hedging", 2), ("pii", ["email"]))),
]
PREFER: dict[str, list[Any]] = {
    "reference": [True, False],
    "temperature": [1, 0.5, 0],
    "max_tokens": [64, 1024],
    "rubric": ["It is short."],
}


def polite(ctx: object, *, limit: int = 50) -> bool:
    return limit > 0


class Model:
    @staticmethod
    def model_validate_json(text: str) -> str:
        return text


def entries() -> Iterator[dict[str, Any]]:
    for kind, (base, parameters) in EACH.items():
        yield {kind: base}
        for name, values in parameters.items():
            yield from ({kind: {**base, name: value}} for value in values)
    yield from MORE


def spec(kind: str, params: dict[str, Any]) -> GraderSpec:
    stated = dict(params)
    required = stated.pop("required", True)
    return GraderSpec(kind=kind, name=kind, params=stated, where="evals/a.yaml:1", required=required)


class Anybody:
    def require(self, name: str, where: str, *, embeds: bool = False) -> None:
        """Know every model."""

    def document(self, name: str) -> str:
        return name

    def holds_schema(self, name: str | None) -> bool:
        return name is None


class Scripts(NoTexts):
    def script(self, path: str, where: str) -> str:
        return "exports.name = () => true"


def found() -> dict[str, str]:
    environment = grading_environment(
        models=Anybody(), load_function=lambda path: Model if path.endswith(":M") else polite, texts=Scripts()
    )
    digests = {}
    for entry in entries():
        ((kind, params),) = entry.items()
        (grader,) = build_all([spec(kind, params)], environment)
        digests[json.dumps(entry, ensure_ascii=False)] = graders_digest([grader])
    for name, values in {"": [None], **PREFER}.items():
        for value in values:
            params = {"rubric": "Which is polite?", "model": "m", **({name: value} if name else {})}
            digests[json.dumps({"prefer": params})] = digest(
                build_prefer(spec("prefer", params), environment).document()
            )
    return digests


def test_no_grader_changes_its_digest() -> None:
    digests = found()
    if WRITE:
        GOLDEN.write_text(json.dumps(digests, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    assert digests == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_every_parameter_of_every_kind_is_stated() -> None:
    stated = {kind: {name for entry in entries() if kind in entry for name in entry[kind]} for kind in EACH}

    assert sorted(stated) == sorted(BUILT_IN)
    for name in BUILT_IN:
        kind = built_in_kind(name)
        assert kind is not None
        assert {*keys_of(kind.parameters)} <= stated[name], name
