"""Two versions beside each other."""

import json
from typing import Any

import pytest
from msgspec import to_builtins

from evalh.analysis.prompt_diff import Change, Edit, Op, PromptDiff, SectionDiff, diff
from evalh.core.case import ABSENT
from evalh.core.errors import WorkspaceError
from evalh.core.prompt import PromptVersion
from evalh.report.documents.prompts import diff_document
from evalh.workspace.prompt.versions import Position, parse_version


def version(number: int, body: str, front: str = "") -> PromptVersion:
    def no_partial(name: str) -> tuple[str, str]:
        raise WorkspaceError(name)

    place = Position("triage", f"v{number}", f"prompts/triage/v{number}.prompt")
    return parse_version(f"---\n{front}\n---\n{body}", place, no_partial)


def compared(base: str, head: str) -> PromptDiff:
    return diff(version(1, base), version(2, head))


def fronts(base: str, head: str) -> PromptDiff:
    return diff(version(1, "x", base), version(2, "x", head))


def test_one_changed_word_is_one_edit() -> None:
    found = compared("Sort the ticket.\nBe short.\n", "Sort the mail.\nBe short.\n")

    assert found.base == "triage@v1"
    assert found.head == "triage@v2"
    assert not found.same_content
    assert found.sections == (
        SectionDiff(
            "user",
            "user",
            (
                Edit(Op.EQUAL, "Sort the "),
                Edit(Op.DELETE, "ticket"),
                Edit(Op.INSERT, "mail"),
                Edit(Op.EQUAL, ".\nBe short."),
            ),
        ),
    )


def test_the_same_content_differs_nowhere() -> None:
    found = diff(version(1, "x", "config: {top_k: 1}"), version(2, "{{! note }}x", "config: {topK: 1}"))

    assert found.same_content
    assert [section.changed for section in found.sections] == [False]
    assert found.config == found.schemas == found.tools == found.notes == ()


@pytest.mark.parametrize(
    ("base", "head", "roles"),
    [
        ('{{role "system"}}S{{role "user"}}U', '{{role "system"}}T{{role "user"}}U', [("system",) * 2, ("user",) * 2]),
        ("U", '{{role "system"}}S{{role "user"}}U', [(None, "system"), ("user", "user")]),
        ('{{role "system"}}S{{role "user"}}U', "U", [("system", None), ("user", "user")]),
        ('{{role "system"}}S', '{{role "user"}}S2', [("system", "user")]),
        ("U", '{{history}}{{role "user"}}U', [(None, "history"), ("user", "user")]),
        (
            '{{role "user"}}A{{role "model"}}B{{role "user"}}C',
            '{{role "user"}}A{{role "user"}}D',
            [("user", "user"), ("assistant", None), ("user", "user")],
        ),
    ],
)
def test_messages_are_paired_with_their_roles(base: str, head: str, roles: list[tuple[str | None, str | None]]) -> None:
    found = compared(base, head)

    assert [(section.base_role, section.head_role) for section in found.sections] == roles


EXAMPLES = "".join(f'{{{{role "user"}}}}q{n}\n{{{{role "model"}}}}a{n}\n' for n in range(8))
LAST = '{{role "user"}}\n{{text}}\n'


def test_examples_that_came_or_went_are_one_block() -> None:
    system = '{{role "system"}}\nSort.\n'
    come, gone = compared(system + LAST, system + EXAMPLES + LAST), compared(EXAMPLES + LAST, LAST)

    assert [one.title for one in come.parts] == ["8 examples added"]
    assert [one.title for one in gone.parts] == ["8 examples removed"]


def test_other_messages_in_a_row_are_a_block_and_a_single_one_is_named() -> None:
    several = compared(LAST, f'{{{{role "system"}}}}One.\n{{{{role "model"}}}}Two.\n{LAST}')
    single = compared(LAST, f'{{{{role "system"}}}}One.\n{LAST}')

    assert [one.title for one in several.parts] == ["2 messages added"]
    assert [one.title for one in single.parts] == ["system added"]
    assert [one.title for one in compared("One {{text}}", "Two {{text}}").parts] == ["user"]


def test_both_sides_can_be_read_back() -> None:
    base, head = "one\ntwo three\n\nfour\n", "one\ntwo 3\n\n\nfive four\n"
    (section,) = compared(base, head).sections

    assert section.text(Op.INSERT) == base.strip()
    assert section.text(Op.DELETE) == head.strip()
    assert section.unified(context=0) == [
        "@@ -2 +2 @@",
        "-two three",
        "+two 3",
        "@@ -4 +4,2 @@",
        "-four",
        "+",
        "+five four",
    ]


def test_settings_schemas_and_tools_are_apart() -> None:
    found = fronts(
        "config: {temperature: 0, top_k: 1, seed: 1}\nmodel: small\noutput: {schema: {label(enum): [a, b]}}\n"
        "tools: [{name: now}, {name: find, parameters: {x: string}}]",
        "config: {temperature: 1, top_k: 1, stop: [x]}\nevalh.why: better\n"
        "output: {schema: {label(enum): [a], why: string}}\ntools: [{name: now, description: The time}]",
    )

    assert found.config == (
        Change("seed", 1, ABSENT),
        Change("stop", ABSENT, ["x"]),
        Change("temperature", 0, 1),
    )
    assert found.schemas == (
        Change("output.schema.properties.label.enum", ["a", "b"], ["a"]),
        Change("output.schema.properties.why.type", ABSENT, "string"),
        Change("output.schema.required", ["label"], ["label", "why"]),
    )
    assert found.tools == (
        Change("find.description", "", ABSENT),
        Change("find.parameters.additionalProperties", False, ABSENT),
        Change("find.parameters.properties.x.type", "string", ABSENT),
        Change("find.parameters.required", ["x"], ABSENT),
        Change("find.parameters.type", "object", ABSENT),
        Change("now.description", "", "The time"),
    )
    assert found.notes == (Change("evalh.why", ABSENT, "better"), Change("model", "small", ABSENT))


def test_the_format_the_defaults_and_the_template_language_are_compared() -> None:
    found = fronts("output: {format: text}", "output: {format: json}\ninput: {default: {a: 1}}\nevalh.template: jinja2")

    assert found.config == (
        Change("evalh.template", "portable", "jinja2"),
        Change("output.format", "text", "json"),
    )
    assert found.schemas == (Change("input.default.a", ABSENT, 1),)


def test_true_is_not_one() -> None:
    assert fronts("config: {x: 1}", "config: {x: true}").config == (Change("x", 1, True),)


def test_the_document_is_json_and_leaves_out_what_a_side_lacks() -> None:
    document: Any = to_builtins(diff_document(diff(version(1, "a", "config: {seed: 1}"), version(2, "b"))))

    document = json.loads(json.dumps(document))
    assert document["schema"] == "evalh.prompt-diff/1"
    assert document["base"]["prompt"] == "triage@v1"
    assert document["config"] == [{"key": "seed", "base": 1}]
    assert document["sections"] == [
        {
            "base_role": "user",
            "head_role": "user",
            "edits": [{"op": "delete", "text": "a"}, {"op": "insert", "text": "b"}],
        }
    ]


def test_a_line_too_long_to_compare_by_words_is_replaced_whole() -> None:
    base, head = "a " * 3_000 + "x", "a " * 3_000 + "y"
    (section,) = compared(base, head).sections

    assert section.edits == (Edit(Op.DELETE, base), Edit(Op.INSERT, head))
