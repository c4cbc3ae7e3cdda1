"""Expressions of pipelines: what a Python programmer types means what it seems to, or is an error that says so."""

import subprocess
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalh.core.errors import WorkspaceError
from evalh.core.prompt import INPUTS, HandoverError
from evalh.core.strict_json import JsonValue
from evalh.workspace.prompt.expressions import Compiled, compile_expression
from evalh.workspace.prompt.references import Shape
from hanging import ends

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["kind", "age", "items"],
    "properties": {
        "order_id": {"type": ["string", "null"]},
        "kind": {"type": "string"},
        "age": {"type": "integer"},
        "address": {"type": ["object", "null"], "properties": {"street": {"type": "string"}}},
        "items": {"type": "array", "items": {"type": "object"}},
    },
}
SCOPE = {
    INPUTS: Shape(),
    "extract": Shape(schema=SCHEMA, where="prompts/extract/v1.prompt:3"),
    "order": Shape(),
    "cite": Shape(),
    "reply": Shape(gives_json=False, schema={"type": "string"}),
}
VALUES: Mapping[str, JsonValue] = {
    INPUTS: {"email": "Where is it?", "tags": []},
    "extract": {
        "order_id": None,
        "kind": "refund",
        "age": 40,
        "address": None,
        "items": [{"id": 1, "late": True}, {"id": 2, "late": False}],
    },
    "order": {"state": "late", "age": "unknown", "paid": "false", "nil": None, "zero": 0, "items": "7", "ratio": 0.5},
    "cite": {"ok": False, "ids": []},
    "reply": "",
}
WHERE = "prompts/refund/draft.pipeline.yaml:7"


def compiled(text: str, *, condition: bool = False) -> Compiled:
    return compile_expression(text, WHERE, SCOPE, condition=condition)


def refusal(text: str, *, condition: bool = True) -> WorkspaceError:
    with pytest.raises(WorkspaceError) as caught:
        compiled(text, condition=condition)
    assert caught.value.where == WHERE
    return caught.value


MEANS = {
    # reading
    "extract.kind": "refund",
    "extract['kind']": "refund",
    'extract["items"][0].id': 1,
    "extract.items[-1].id": 2,
    "(extract.items | first).id": 1,
    "extract.items[cite.ids | length].id": 1,
    "extract.items[0:1]": [{"id": 1, "late": True}],
    "order.items": "7",
    "reply": "",
    "extract.order_id": None,
    "inputs.email": "Where is it?",
    # choosing
    "extract.order_id or order.state": "late",
    "order.stat | default('none yet')": "none yet",
    "extract.age if cite.ok else none": None,
    # building
    "extract.kind ~ ' ' ~ extract.age": "refund 40",
    "'kind: ' + extract.kind": "kind: refund",
    "{'kind': extract.kind, 'ages': [extract.age, 3]}": {"kind": "refund", "ages": [40, 3]},
    "extract.items | map(attribute='id') | list": [1, 2],
    "extract.items | selectattr('late')": [{"id": 1, "late": True}],
    "extract.items | map(attribute='id') | sum": 3,
    "extract.age * 2 - 1": 79,
    "-extract.age": -40,
    "extract.age // 7": 5,
    "order.items | int + 1": 8,
    "order.age | int(0)": 0,
    "order.state.upper()": "LATE",
    "order.get('nothing')": None,
    "'just text'": "just text",
}
HOLDS = {
    "cite.ok": False,
    "not cite.ok": True,
    "not not cite.ok": False,
    "cite.ok == false": True,
    "cite.ok == True": False,
    "cite.ok is true": False,
    "cite.ok is False": True,
    "extract.order_id": False,
    "extract.order_id is none": True,
    "extract.order_id is None": True,
    "extract.order_id == None": True,
    "extract.order_id != none": False,
    "extract.kind is not none": True,
    "order.nil": False,
    "order.zero": False,
    "reply": False,
    "not reply": True,
    "cite.ids": False,
    "cite.ids == []": True,
    "extract.kind == 'refund' and order.state == \"late\"": True,
    "extract.kind in ['order', 'refund']": True,
    "extract.kind not in ['order', 'refund']": False,
    "'fun' in extract.kind": True,
    "'state' in order": True,
    "10 < extract.age <= 40": True,
    "extract.age == 40.0": True,
    "order.ratio > 0": True,
    "order.stat is defined": False,
    "order.stat is not defined": True,
    "inputs.note is defined and inputs.note.x == 1": False,
    "extract.items | length > 1": True,
    "extract.items | selectattr('late') | list": True,
    "not (extract.items | rejectattr('id'))": True,
    "extract.kind is string": True,
    "extract.kind.startswith('ref')": True,
    "not extract.kind == 'order'": True,
}
REFUSED = {
    # what other languages write
    "!cite.ok": ("! is not an operator here", "write `not`"),
    "cite.ok && cite.ids": ("&& is not an operator here", "write `and`"),
    "cite.ok & cite.ids": ("& is not an operator here", "write `and`"),
    "cite.ok || cite.ids": ("|| is not an operator here", "write `or`"),
    "extract.kind === 'a'": ("=== is not an operator here", "write =="),
    "extract.kind <> 'a'": ("<> is not an operator here", "write !="),
    "extract.kind = 'a'": ("= cannot assign", "=="),
    "cite.ok ? 'a' : 'b'": ("? is not an operator here", "a.b if c.d else e.f"),
    "order?.state": ("?. is not an operator here", "default(none)"),
    "extract.order_id == null": ("no step 'null'", "write none"),
    "extract.order_id is null": ("no test 'is null'", "is none"),
    "{{ extract.kind }}": ("{{ opens a template tag", "write it without braces"),
    "{% if cite.ok %}": ("{% opens a template tag", "write it without braces"),
    "len(extract.items)": ("expressions cannot call functions", "x | length"),
    "str(extract.age)": ("expressions cannot call functions", "x | string"),
    "any(extract.items)": ("expressions cannot call functions", "x | select | length > 0"),
    "range(10**9)": ("expressions cannot call functions", "function step"),
    "[x for x in extract.items]": ("for is not allowed here", "selectattr"),
    "lambda x: x": ("lambda is not allowed here", "map"),
    "f'{extract.kind}'": ("text is not written f", "join with ~"),
    "extract.kind is 'refund'": ("must be followed by the name of a test", "=="),
    "extract.items is sequence": ("no test 'is sequence'", "is string"),
    "extract.age | round_to": ("no filter 'round_to'", "did you mean"),
    "extract.kind.append('x')": ("no method .append()", "have: capitalize"),
    "2 ** extract.age ** 2": ("** is computed from the left here", "brackets"),
    "-extract.age ** 2": ("** is computed from the left here", "brackets"),
    "extract.age if cite.ok": ("lacks an `else`", "else none"),
    # what is decided before anything ran
    "extract.kind == 'a' or 'b'": ("the same for all cases", "in ['a', 'b']"),
    "true": ("the same for all cases", None),
    "1 == 1": ("the same for all cases", None),
    # names
    "extrct.order_id": ("no step 'extrct'", "did you mean 'extract'?"),
    "input.email": ("no step 'input'", "did you mean 'inputs'?"),
    "extract.kind == delivered": ("no step 'delivered'", "'delivered' in quotes"),
    "expected.kind": ("'expected' is not available", "gold"),
    "steps.extract.kind": ("no step 'steps'", "write a step's name alone"),
    "extract.orderid": (
        "extract does not give extract.orderid",
        "did you mean 'order_id'? · its schema: prompts/extract",
    ),
    "extract.kind.id": ("extract.kind is text: there is no extract.kind.id", "prompts/extract/v1.prompt:3"),
    "reply.text": ("reply gives text, and text has no parts", "write reply"),
    "order is defined": ("is for fields, not for steps", "{first: [a, b]}"),
    "order | default('x')": ("is for fields, not for steps", "{first: [a, b]}"),
    # types that never meet
    "extract.age < '30'": ("extract.age is a number, not text", "values of one type"),
    "extract.age == '40'": ("extract.age is a number, not text", "values of one type"),
    "extract.kind == 3": ("extract.kind is text, not a number", "values of one type"),
    "": ("the expression is empty", None),
}
HANDED_OVER = {
    "order.stat": ("order", "order.stat is missing (have: state, age"),
    "order.state.id": ("order", "order.state is text, which has no field 'id'"),
    "extract.items[5].id": ("extract", "extract.items has 2 items, so [5] does not exist"),
    "extract.address.street": ("extract", "extract.address is null, which has no field 'street'"),
    "inputs.note": (INPUTS, "the case has no inputs.note (have: email, tags)"),
    "order.age < 30": ("order", 'order.age: text is compared with a number: "unknown" and 30'),
    "order.nil < 30": ("order", "order.nil: null is compared with a number: null and 30"),
    "cite.ok == 0": ("cite", "cite.ok: true or false is compared with a number: false and 0"),
    "order.state == 3": ("order", "order.state: text is compared with a number"),
    "extract.age < order.age": ("extract", "extract.age: a number is compared with text"),
    "order.state in [1, 2]": ("order", "order.state: `in` looks for text in a list of other types"),
    "3 in order": ("order", "order: `in` cannot look for a number in a mapping"),
    "order.paid": ("order", "order.paid: the text 'false' is always true"),
    "not order.paid": ("order", "order.paid: the text 'false' is always true"),
    "order.age | int < 30": ("order", "'unknown' is not a number"),
    "order.zero.upper() == 'A'": ("order", "order.zero: a number has no .upper()"),
    "order.state + 1 > 2": ("order", "+ takes numbers"),
    "order.state * 9 == 'a'": ("order", "* takes numbers"),
    "extract.age / order.zero > 1": ("extract", "division by zero"),
    "(cite.ids | first).id == 1": ("cite", "sequence was empty"),
    "extract.items | map(attribute='no') | list": ("extract", "has no attribute 'no'"),
    "order[extract.kind]": ("order", "a mapping has no part 'refund'"),
    "order.state is eq 3": ("order", "text is compared with a number"),
}


@pytest.mark.parametrize("text", MEANS)
def test_an_expression_has_the_value_that_it_seems_to_have(text: str) -> None:
    assert compiled(text).evaluate(VALUES) == MEANS[text]
    assert type(compiled(text).evaluate(VALUES)) is type(MEANS[text])


@pytest.mark.parametrize("text", HOLDS)
def test_a_condition_is_true_where_it_seems_to_be(text: str) -> None:
    assert compiled(text, condition=True).holds(VALUES) is HOLDS[text]


@pytest.mark.parametrize("text", REFUSED)
def test_an_expression_with_another_meaning_is_refused_with_what_to_type(text: str) -> None:
    what, hint = REFUSED[text]
    error = refusal(text)

    assert what in error.what
    assert hint is None or hint in (error.hint or "")


@pytest.mark.parametrize("text", HANDED_OVER)
def test_a_missing_field_or_a_wrong_type_is_never_false(text: str) -> None:
    producer, what = HANDED_OVER[text]
    expression = compiled(text, condition=True)

    with pytest.raises(HandoverError) as caught:
        expression.holds(VALUES)

    assert (caught.value.producer, caught.value.where) == (producer, WHERE)
    assert what in caught.value.what


def test_a_null_that_the_schema_does_not_allow_is_the_producers_failure() -> None:
    broken = {**VALUES, "extract": {**VALUES["extract"], "kind": None}}

    for text in ("extract.kind", "not extract.kind", "extract.kind == 'refund'"):
        with pytest.raises(HandoverError, match=r"extract\.kind is null, which its schema does not allow"):
            compiled(text, condition=True).holds(broken)
    assert compiled("extract.kind is none", condition=True).holds(broken) is True


def test_references_are_known_before_anything_runs() -> None:
    def read(text: str) -> set[str]:
        return set(map(str, compiled(text).references))

    assert read("extract.items[0].id") == {"extract.items[0].id"}
    assert read("extract.items[order.zero].id ~ inputs.email") == {"extract.items", "order.zero", "inputs.email"}
    assert read("(extract.items | first).id") == {"extract.items"}
    assert read("order.state.upper() == cite.ok") == {"order.state", "cite.ok"}
    assert read("inputs.note is defined") == {"inputs.note"}


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("inputs.email", {"inputs.email"}),
        ("inputs.note | default('') ~ inputs.email", {"inputs.email"}),
        ("inputs.note is defined and inputs.note.x == 1", set()),
        ("inputs.vip and inputs.total > 3", {"inputs.vip"}),
        ("inputs.a if inputs.b else inputs.c", {"inputs.b"}),
        ("not inputs.a == inputs.b", {"inputs.a", "inputs.b"}),
    ],
)
def test_only_what_an_expression_always_reads_is_needed(text: str, needed: set[str]) -> None:
    assert set(map(str, compiled(text).needed)) == needed


def test_a_plain_reference_needs_no_jinja() -> None:
    program = """
import sys
from evalh.workspace.prompt.expressions import compile_expression
from evalh.workspace.prompt.references import Shape
found = compile_expression("extract.items[0].id", "x:1", {"extract": Shape()})
found = found.evaluate({"extract": {"items": [{"id": 1}]}})
print(found, "jinja2" in sys.modules)
"""

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert run.stdout == "1 False\n"


HOSTILE = {
    "brackets": "(" * 800 + "1" + ")" * 800,
    "not": "not " * 900 + "cite.ok",
    "minus": "-" * 3_000 + "1",
    "lists": "[" * 60 + "]" * 60,
    "a megabyte": "a" * 1_000_000,
    "attributes of a list": "(extract.items|list)" + ".a" * 1_000,
    "sum": "extract.age" + "+1" * 1_900,
    "digits": "9" * 3_900 + "9" * 100 + " > extract.age",
    "or": "cite.ok" + " or cite.ok" * 350,
    "a zero byte": "extract\x00.kind",
    "an unclosed text": "extract.kind == 'a",
    "dunder": "extract.kind.__class__.__mro__",
    "format": "'%9999999999d' % 3",
    "star": "order.get(*cite.ids)",
    "self": "self._TemplateReference__context",
    "comment": "extract.kind {# x #}",
    "float": "1e999 > extract.age",
    "power": "9 ** (9 ** 9)",
    "text": "'a' * 1000000000",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_and_hangs_nothing(name: str) -> None:
    with ends():
        refusal(HOSTILE[name], condition=False)


@pytest.mark.parametrize(
    "text",
    [
        "extract.age ** 99999999",
        "2.0 ** (extract.age * extract.age)",
        "(0 - extract.age) ** 0.5",
        "order.state.split('')",
    ],
)
def test_an_expression_that_a_value_makes_too_big_is_a_handover_error(text: str) -> None:
    with pytest.raises(HandoverError):
        compiled(text).evaluate(VALUES)


def test_a_long_output_cannot_cause_endless_work() -> None:
    big = {**VALUES, "order": {"text": "a" * 5_000_000, "items": list(range(300_000))}}

    assert compiled("order.text").evaluate(big) == big["order"]["text"]
    with pytest.raises(HandoverError, match="more than"):
        compiled("order.text ~ order.text").evaluate(big)


WORDS = st.sampled_from(
    [
        *"()[]{}.,:|~+-*/%<>=!&?",
        "==",
        "**",
        " and ",
        " or ",
        " not ",
        " in ",
        " is ",
        " if ",
        " else ",
        " none ",
        "true",
    ]
    + ["extract", "order", "inputs", "reply", ".kind", ".age", ".items", ".state", "[0]", "'a'", "3", "0.5", " | "]
    + ["length", "list", "first", "default", "int", "map", "sort", "join", "defined", "string", "expected", "{{", "\n"]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(WORDS, max_size=14).map("".join), st.booleans())
def test_any_text_is_a_value_or_one_of_two_errors(text: str, condition: bool) -> None:
    try:
        expression = compiled(text, condition=condition)
        found = expression.holds(VALUES) if condition else expression.evaluate(VALUES)
    except (WorkspaceError, HandoverError):
        return
    assert found is None or isinstance(found, (bool, int, float, str, list, dict))
