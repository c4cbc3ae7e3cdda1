"""Bodies: messages, partials, comments, and what is refused."""

from collections.abc import Callable

import pytest

from evalh.core.errors import WorkspaceError
from evalh.core.prompt import PromptVersion
from evalh.core.request import Text
from evalh.workspace.prompt.templates import compile_version
from evalh.workspace.prompt.versions import Position, parse_version

PLACE = Position("triage", "v3", "prompts/triage/v3.prompt")
DIALECTS = ("portable", "jinja2", "handlebars")


def partials(**texts: str) -> Callable[[str], tuple[str, str]]:
    def find(name: str) -> tuple[str, str]:
        if name not in texts:
            raise WorkspaceError(f"no partial {name!r}")
        return f"prompts/_{name}.prompt", texts[name]

    return find


def read(body: str, dialect: str = "portable", **texts: str) -> PromptVersion:
    return parse_version(f"---\nevalh.template: {dialect}\n---\n{body}", PLACE, partials(**texts))


def messages(body: str, dialect: str = "portable", **texts: str) -> list[tuple[str | None, str]]:
    return [(section.role, section.source) for section in read(body, dialect, **texts).sections]


def refused(body: str, dialect: str = "portable", **texts: str) -> WorkspaceError:
    with pytest.raises(WorkspaceError) as caught:
        read(body, dialect, **texts)
    return caught.value


def rendered(body: str, **inputs: object) -> str:
    (message,) = compile_version(read(body)).render(inputs)
    assert message.parts == (Text(message.text),)
    return message.text


# -- messages


@pytest.mark.parametrize("dialect", DIALECTS)
def test_markers_part_the_messages_and_white_space_at_their_ends_goes(dialect: str) -> None:
    body = """
First.

{{role "system"}}

  Be kind.
Be short.

{{ role 'model' }}Yes.{{role "assistant"}} No. {{history}}
{{role "user"}}
{{ticket}}
"""

    assert messages(body, dialect) == [
        ("user", "First."),
        ("system", "Be kind.\nBe short."),
        ("assistant", "Yes."),
        ("assistant", "No."),
        (None, ""),
        ("user", "{{ticket}}"),
    ]


def test_lines_are_the_files_own() -> None:
    version = read('{{role "system"}}\n\n\nBe kind.\n{{role "user"}} Hi.\n')

    assert [section.line for section in version.sections] == [7, 8]


def test_a_section_without_text_is_no_message() -> None:
    assert messages('{{role "system"}}\n{{! later }}\n{{role "user"}}\nHi.') == [("user", "Hi.")]


def test_a_body_may_be_the_history_alone() -> None:
    assert messages("{{history}}") == [(None, "")]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("body", "what", "line"),
    [
        ('Hi.\n{{role "sytem"}}', "unknown role 'sytem'", 5),
        ("{{history}}\n\n{{ticket}}", "text follows", 6),
        ('{{history}}\n{{role "user"}}\n{{history}}', "is given twice", 6),
        ("{{media photo}}", "not a media marker", 4),
        ('\n{{media url="a.png"}}', "not a media marker", 5),
    ],
)
def test_a_bad_marker_is_refused(dialect: str, body: str, what: str, line: int) -> None:
    error = refused(body, dialect)

    assert what in error.what
    assert error.where == f"prompts/triage/v3.prompt:{line}"


@pytest.mark.parametrize("marker", ['{{role "system"}}', "{{history}}", "{{media url=photo}}"])
@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("jinja2", "{{% if x %}}\nA {marker} B\n{{% endif %}}"),
        ("jinja2", "{{% for x in y %}}{marker}{{% endfor %}}"),
        ("handlebars", "{{{{#if x}}}}\nA {marker} B\n{{{{/if}}}}"),
        ("handlebars", "{{{{#each x}}}}{marker}{{{{/each}}}}"),
    ],
)
def test_a_marker_inside_a_block_is_refused(dialect: str, body: str, marker: str) -> None:
    error = refused(body.format(marker=marker), dialect)

    assert "inside a block" in error.what or "text follows" in error.what


def test_a_block_that_is_not_closed_is_refused_as_such() -> None:
    for dialect, body in (("jinja2", "{% if x %} A"), ("handlebars", "{{#if x}} A")):
        error = refused(f'{{{{role "user"}}}}\n{body}', dialect)
        assert "refuses it" in error.what
        assert error.where == "prompts/triage/v3.prompt:5"


# -- the portable dialect


@pytest.mark.parametrize(
    "tag",
    [
        "{{#if x}}",
        "{{/if}}",
        "{{else}}",
        "{{^x}}",
        "{{{x}}}",
        "{{&x}}",
        "{{x y}}",
        "{{x|upper}}",
        "{{x + 1}}",
        "{{'x'}}",
        "{{x()}}",
        "{{x-y}}",
        "{{@index}}",
        "{{../x}}",
        "{{x.0}}",
        "{{x[0]}}",
        "{{}}",
        "{{ }}",
        "{{=<% %>=}}",
        "{%if x%}",
        "{# note #}",
        "{{this}}",
        "{{true}}",
        "{{messages}}",
        "{{role}}",
        "{{role system}}",
        "{{x.items}}",
        "{{x._y}}",
        "{{é}}",
        "{{x\n",
        "{{",
        "{{!",
        "{{!--  }}",
        "{%",
    ],
)
def test_whatever_the_template_languages_read_differently_is_refused(tag: str) -> None:
    error = refused(f"Hello.\n\n{tag}")

    assert error.where == "prompts/triage/v3.prompt:6"
    assert error.hint


def test_logic_says_how_to_opt_in() -> None:
    assert "evalh.template: jinja2" in str(refused("{{#if x}}a{{/if}}").hint)
    assert "evalh.template: jinja2" in str(refused("{% if x %}a{% endif %}").hint)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (r"\{{name}}", "{{name}}"),
        (r"\{% raw %}", "{% raw %}"),
        (r"\{# x #}", "{# x #}"),
        (r"\\{{name}}", "\\Ada"),
        (r"\\\{{name}}", r"\{{name}}"),
        (r"C:\dir {x} }} {name}", r"C:\dir {x} }} {name}"),
        ('{"a": {"b": {{name}}}}', '{"a": {"b": Ada}}'),
        ("a{{! note }}b{{!-- {{note}} --}}c", "abc"),
        ("a\n{{! note }}\nb", "a\nb"),
        ("a\n  {{! note }}{{! note }}  \nb", "a\nb"),
        ("a\n{{! note\nof two lines }}\n\nb", "a\n\nb"),
        ("a {{! note }}\nb", "a \nb"),
        ("a\n{{! note }} b", "a\n b"),
        ("a\n{{! note }}{{name}}", "a\nAda"),
        ("a\n{{! note }} {{name}}", "a\n Ada"),
        ("a\n{{name}}\n{{! note }}", "a\nAda"),
        ("{{name}}{{ name }}{{\tname\n}}", "AdaAdaAda"),
        ("a{ {{! note }}{", "a{ {"),
    ],
)
def test_literal_text_and_comments(body: str, text: str) -> None:
    assert rendered(body, name="Ada") == text


@pytest.mark.parametrize("body", ["a{{{! note }}{name}}", "a\\\\{{! note }}b"])
def test_dropping_a_comment_never_makes_a_tag(body: str) -> None:
    refused(body)


# -- partials


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_partial_stands_where_it_is_named(dialect: str) -> None:
    assert messages("A\n{{>tone}}\nB {{> tone }}.", dialect, tone="\nBe kind, {{name}}.\n") == [
        ("user", "A\nBe kind, {{name}}.\nB Be kind, {{name}}..")
    ]


def test_a_partial_may_hold_markers_and_partials() -> None:
    assert messages("{{>a}}\n{{ticket}}", a='{{role "system"}}\n{{>b}}\n{{role "user"}}', b="Be kind.") == [
        ("system", "Be kind."),
        ("user", "{{ticket}}"),
    ]


def test_a_partial_in_a_comment_is_not_read() -> None:
    assert messages("a {{!-- {{>missing}} --}}") == [("user", "a")]
    assert messages("a {# {{>missing}} #}", "jinja2") == [("user", "a")]


def test_an_empty_partial_is_nothing() -> None:
    assert messages("a{{>b}}c", b="\n") == [("user", "ac")]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_partial_that_includes_itself_is_refused(dialect: str) -> None:
    error = refused("x\n{{>a}}", dialect, a="{{>b}}", b="\n\n{{>a}}")

    assert "a → b → a" in error.what
    assert error.where == "prompts/_b.prompt:3"


def test_a_missing_partial_is_refused_where_it_is_named() -> None:
    assert refused("x\n{{>a}}").where == "prompts/triage/v3.prompt:5"
    assert refused("x\n{{>a}}", a="y\n\n{{>b}}").where == "prompts/_a.prompt:3"


@pytest.mark.parametrize("tag", ["{{>a b}}", "{{>a x=1}}", "{{> }}", "{{>../a}}", "{{>a/b}}"])
def test_a_partial_takes_no_arguments_and_no_path(tag: str) -> None:
    assert "is not a partial" in refused(tag, a="x").what


def test_partials_that_explode_are_refused() -> None:
    texts = {f"p{number}": f"{{{{>p{number + 1}}}}}" * 2 for number in range(20)}

    assert "more than" in refused("{{>p0}}", **texts, p20="x").what


def test_a_mistake_in_a_partial_is_told_with_its_own_place() -> None:
    assert refused("x\n{{>a}}", a="y\n{{#if z}}").where == "prompts/_a.prompt:2"
    assert refused("x\n{{>a}}", a="y\n{{{z").where == "prompts/_a.prompt:2"
    assert refused("x\n{{>a}}", a='\n\n{{role "sytem"}}').where == "prompts/_a.prompt:3"


@pytest.mark.parametrize(("text", "partial"), [("{{>a}}{{x}}", "b {"), ("{{>a}}{{>a}}", "{"), ("{{>a}}{{x}}", "\\")])
def test_a_partial_never_makes_a_tag_with_its_neighbour(text: str, partial: str) -> None:
    assert "right before a tag" in refused(text, a=partial).what


def test_partials_are_in_the_digest() -> None:
    whole = read("Be kind. {{ticket}}").digest

    assert read("{{>a}} {{ticket}}", a="Be kind.").digest == whole
    assert read("{{>a}} {{ticket}}", a="Be kind!").digest != whole
