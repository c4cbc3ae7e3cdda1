"""Handlebars: what a prompt may use, through an optional engine."""

import sys
from typing import Any

import pytest

from evalh.core.errors import UsageError, WorkspaceError
from evalh.core.prompt import PromptVersion
from evalh.workspace.prompt import dialect_handlebars
from evalh.workspace.prompt.templates import check_inputs, compile_version
from evalh.workspace.prompt.versions import Position, parse_version


def version(body: str) -> PromptVersion:
    def no_partial(name: str) -> tuple[str, str]:
        raise WorkspaceError(name)

    return parse_version(f"---\nevalh.template: handlebars\n---\n{body}", Position("p", "v1", "p.prompt"), no_partial)


def text(body: str, /, **inputs: Any) -> str:
    (message,) = compile_version(version(body)).render(inputs)
    return message.text


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{{#if x}}yes{{else}}no{{/if}}{{#if missing}}yes{{else}}no{{/if}}", "yesno"),
        ("{{#unless missing}}no {{x}}{{/unless}}", "no <b>&"),
        ("{{#each l}}{{@index}}:{{this}}:{{../x}};{{/each}}", "0:1:<b>&;1:[2]:<b>&;"),
        ("{{#each l as |v i|}}{{i}}={{v}} {{/each}}.", "0=1 1=[2] ."),
        ("{{#each o}}{{@key}}={{this}};{{/each}}", 'a={"b":null};'),
        ("{{#with o}}{{a.b}}{{/with}}", "null"),
        ("{{{x}}} {{&x}} {{ x }}", "<b>& <b>& <b>&"),
        ("a {{~x~}} b", "a<b>&b"),
        ("{{json o}} {{lookup o 'a'}} {{l.[1]}}", '{"a":{"b":null}} {"b":null} [2]'),
        ("{{#ifEquals x '<b>&'}}same{{else}}other{{/ifEquals}}", "same"),
        ("{{#unlessEquals x 1}}other{{/unlessEquals}}", "other"),
        (r"\{{x}} \\{{x}}", "{{x}} \\<b>&"),
        ("a{{! note }}b{{!-- {{note}} --}}c {{~! note ~}} d", "abcd"),
        ("a\n{{! note }}\nb", "a\nb"),
        ("a\n{{#if x}}\nb\n{{/if}}\nc", "a\nb\nc"),
        ("{{{{raw}}}}{{x}}{{{{/raw}}}}", "{{x}}"),
        ("{{n}} {{t}} {{f}}", "null true 1.5"),
    ],
)
def test_what_prompts_use_works(body: str, expected: str) -> None:
    inputs = {"x": "<b>&", "l": [1, [2]], "o": {"a": {"b": None}}, "n": None, "t": True, "f": 1.5}

    assert text(body + "", **inputs, raw=None) == expected


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("{{x}}", "x"),
        ("{{{x}}}", "x"),
        ("{{o.b}}", "o.b"),
        ("{{#if o}}{{x}}{{/if}}", "x"),
        ("{{#x}}a{{/x}}", "x"),
        ("{{lookup o 'b'}}", "lookup o 'b'"),
    ],
)
def test_a_missing_variable_is_an_error_with_its_name(body: str, name: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        text(body, o={"a": 1})

    assert caught.value.what == f"variable {name!r} has no value"


def test_what_stands_inside_a_block_is_not_required() -> None:
    loaded = version("{{a.b}} {{#if c}}{{d}}{{/if}} {{#each e}}{{f}}{{/each}} {{{g}}}")

    assert check_inputs(loaded, []) == ["a", "g"]


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("{{jsno x}}", "did you mean 'json'?"),
        ("{{#iff x}}a{{/iff}}", "did you mean 'if'?"),
        ("{{log x}}", "have: json, lookup"),
        ('{{section "code"}}', "have: json, lookup"),
        ("{{#>layout}}a{{/layout}}", "put the text into a file: {{>name}}"),
        ('{{#*inline "a"}}x{{/inline}}', "put the text into a file: {{>name}}"),
        ("{{#if x}}a", None),
        ("a{{/if}}", None),
        ("{{else}}", None),
    ],
)
def test_a_mistake_is_found_at_load(body: str, hint: str | None) -> None:
    with pytest.raises(WorkspaceError) as caught:
        version(f"\n{body}")

    assert caught.value.where == "p.prompt:5"
    assert caught.value.hint == hint


@pytest.mark.parametrize("body", ["{{x", "{{{x}}", "{{!-- x }}", "{{{{raw}}}} x", "{{{{}}}}", "{{}}", "{{x y", "{{~"])
def test_what_is_not_closed_is_found_at_load(body: str) -> None:
    with pytest.raises(WorkspaceError):
        version(body)


@pytest.mark.parametrize("body", ["{{x.__class__}}", "{{#with x}}{{__class__}}{{/with}}", "{{lookup x '__class__'}}"])
def test_python_is_out_of_reach(body: str) -> None:
    with pytest.raises(WorkspaceError):
        text(body, x={"a": 1})


def test_without_the_engine_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dotpromptz_handlebars", None)
    dialect_handlebars._engine.cache_clear()

    with pytest.raises(UsageError) as caught:
        version("{{x}}")

    assert caught.value.hint == "pip install 'evalh[handlebars]'"


@pytest.mark.parametrize(
    "body",
    [
        "{{messages}}",
        "{{{messages}}}",
        "{{&messages.[0].content}}",
        "{{#each messages}}{{content}}{{/each}}",
        "{{#if messages}}x{{/if}}",
        "{{json messages}}",
        "{{lookup messages 0}}",
        "{{#each l}}{{../messages}}{{/each}}",
        "{{#with o}}{{@root.messages}}{{/with}}",
    ],
)
def test_the_history_is_not_sent_a_second_time_as_a_variable(body: str) -> None:
    with pytest.raises(WorkspaceError, match="`messages` is the case's history"):
        version(body)


def test_a_field_may_be_called_messages() -> None:
    assert (
        text("{{#with o}}{{messages}}{{/with}} {{o.messages}} {{json 'messages'}}", o={"messages": "a"})
        == "a a messages"
    )


def test_an_odd_tag_that_the_engine_stumbles_over_is_refused() -> None:
    with pytest.raises(WorkspaceError, match="Handlebars refuses it"):
        version("{{#if s x}}{{{x}}}{{/}}{{/wi}}")


@pytest.mark.parametrize("tag", ["{{x}}", "{{{x}}}", "{{#if x}}{{/if}}"])
def test_a_template_with_more_code_than_is_compiled_in_time_is_refused_with_its_line(tag: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        version("text\n" + tag * (20_000 // len(tag)) + "\n" + tag)
    assert str(caught.value).startswith("p.prompt:6: more than 20,000 characters of the prompt are inside tags")


def test_text_and_comments_may_be_as_long_as_they_like() -> None:
    long = "a { b } % # " * 5_000
    assert text(f"{long}{{{{!-- {long} --}}}}{{{{! {'a ' * 20_000}}}}}.{{{{x}}}}", x="!") == f"{long}.!"
