"""Front matter: every key, and what is wrong with it."""

from pathlib import Path
from textwrap import dedent

import pytest

from evalh.core.declared import keys_of
from evalh.core.errors import EvalhError, WorkspaceError
from evalh.core.prompt import Dialect, PromptVersion
from evalh.core.request import Tool
from evalh.workspace.prompt.front import PARAM_SPELLINGS, ConfigTable, FrontMatter, ToolTable
from evalh.workspace.prompt.versions import Position, parse_version

PLACE = Position("triage", "v3", "prompts/triage/v3.prompt")


def no_partial(name: str) -> tuple[str, str]:
    raise WorkspaceError(f"no partial {name!r}")


def read(text: str, place: Position = PLACE) -> PromptVersion:
    return parse_version(dedent(text).lstrip("\n"), place, no_partial)


def front(keys: str, body: str = "Hello.") -> PromptVersion:
    return read(f"---\n{dedent(keys).strip()}\n---\n{body}\n")


def refused(keys: str, body: str = "Hello.") -> WorkspaceError:
    with pytest.raises(WorkspaceError) as caught:
        front(keys, body)
    return caught.value


def test_every_key_is_read() -> None:
    version = read("""
        ---
        name: triage
        variant: v3
        description: Sort a support ticket
        model: small
        config: {temperature: 0, max_tokens: 24}
        input:
          schema: {ticket: string, tone?: string}
          default: {tone: kind}
        output:
          format: json
          schema: {label(enum): [billing, bug]}
        tools:
          - name: lookup
            description: Find an order
            parameters: {order: string}
        metadata: {team: support}
        evalh.why: "Ask for the category first."
        evalh.template: portable
        ---
        {{role "system"}}
        Be {{tone}}.
        {{role "user"}}
        {{ticket}}
    """)

    assert (version.name, version.version, version.path) == ("triage", "v3", "prompts/triage/v3.prompt")
    assert version.description == "Sort a support ticket"
    assert version.why == "Ask for the category first."
    assert version.model == "small"
    assert version.params == {"temperature": 0, "max_tokens": 24}
    assert version.input_schema is not None
    assert version.input_schema["required"] == ["ticket"]
    assert version.input_defaults == {"tone": "kind"}
    assert version.json_output
    assert version.output_schema is not None
    assert version.output_schema["properties"] == {"label": {"enum": ["billing", "bug"]}}
    parameters = {
        "type": "object",
        "properties": {"order": {"type": "string"}},
        "additionalProperties": False,
        "required": ["order"],
    }
    assert version.tools == (Tool("lookup", "Find an order", parameters),)
    assert version.dialect is Dialect.PORTABLE
    assert version.variables == {"ticket", "tone"}
    assert version.digest.startswith("sha256:")
    assert [(section.role, section.line) for section in version.sections] == [("system", 22), ("user", 24)]


def test_without_front_matter_the_file_is_one_user_message() -> None:
    version = read("# Sort this\n\n{{ticket}}\n")

    assert [(section.role, section.source) for section in version.sections] == [("user", "# Sort this\n\n{{ticket}}")]
    assert not version.json_output
    assert version.params == {}


@pytest.mark.parametrize("text", ["---\n---\nHello.", "---\n\n---  \nHello.", "---\n# nothing\n---\nHello.\n"])
def test_front_matter_may_be_empty(text: str) -> None:
    assert read(text).sections[0].source == "Hello."


def test_a_licence_in_comments_may_stand_first() -> None:
    version = read("# Copyright\n\n---\nmodel: small\n---\nHello.\n")

    assert version.model == "small"
    assert version.sections[0].line == 6


def test_front_matter_must_end() -> None:
    with pytest.raises(WorkspaceError, match="not closed") as caught:
        read("---\nmodel: small\nHello.\n")

    assert caught.value.where == "prompts/triage/v3.prompt:1"


def test_messages_name_the_revision() -> None:
    place = Position("triage", "v3", "prompts/triage/v3.prompt", "HEAD~2")

    with pytest.raises(WorkspaceError) as caught:
        read("---\nmodle: small\n---\nHello.", place)

    assert caught.value.where == "HEAD~2:prompts/triage/v3.prompt:2"


# -- keys


def test_an_unknown_key_names_the_nearest() -> None:
    error = refused("model: small\ndescripton: x")

    assert error.what == "unknown key 'descripton'"
    assert error.where == "prompts/triage/v3.prompt:3"
    assert error.hint == "did you mean 'description'?"


@pytest.mark.parametrize("keys", ["evalh.templat: jinja2", "input: {shema: string}", "output: {formats: json}"])
def test_an_unknown_key_in_our_own_places_is_refused(keys: str) -> None:
    assert refused(keys).hint is not None


def test_somebody_elses_extension_is_left_alone() -> None:
    assert front("acme.team: support\ngenkit.x: {y: 1}").digest == front("{}").digest


@pytest.mark.parametrize(("key", "value"), [("name", "other"), ("variant", "v2"), ("variant", "draft")])
def test_a_name_that_disagrees_with_the_place_is_refused(key: str, value: str) -> None:
    error = refused(f"{key}: {value}")

    assert "the file's place says" in error.what


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("model: [a]", 2),
        ("description: 3", 2),
        ("evalh.why: {}", 2),
        ("metadata: x", 2),
        ("- a", 2),
        ("config: x", 2),
        ("input: x", 2),
        ("output: [x]", 2),
        ("model: small\nconfig:\n  temperature: hot", 4),
        ("config: {temperature: -1}", 2),
        ("config: {temperature: true}", 2),
        ("config: {top_p: 1.5}", 2),
        ("config: {max_tokens: 0}", 2),
        ("config: {max_tokens: 1.5}", 2),
        ("config: {seed: x}", 2),
        ("config: {seed: true}", 2),
        ("config: {stop: 3}", 2),
        ("config: {stop: ['']}", 2),
        ("config:\n  max_tokens: 1\n  maxOutputTokens: 2", 4),
        ("input: {default: [x]}", 2),
        ("output: {format: xml}", 2),
        ("output:\n  format: text\n  schema: string", 4),
        ("output:\n  schema:\n    label: strin", 4),
        ("output:\n  schema:\n    type: object\n    properties:\n      a: {type: strin}", 6),
        ("input:\n  schema: {$ref: 'https://example.com/s.json'}", 3),
        ("tools: x", 2),
        ("tools:\n  - x", 3),
        ("tools:\n  - {description: x}", 3),
        ("tools:\n  - {name: 'a b'}", 3),
        ("tools:\n  - {name: a}\n  - {name: a}", 4),
        ("tools:\n  - {name: a, parameters: string}", 3),
        ("tools:\n  - {name: a, parameters: {x: string}, inputSchema: {x: string}}", 3),
        ("evalh.template: mustache", 2),
        ("model: small\nmodel: strong", 3),
        ("model: *x", 2),
        ("a: [", 2),
    ],
)
def test_a_wrong_value_is_refused_with_file_and_line(keys: str, line: int) -> None:
    error = refused(keys)

    file, _, number = str(error.where).rpartition(":")
    assert file == "prompts/triage/v3.prompt"
    assert int(number) in (line, line + 1)  # an unclosed bracket is noticed on the next line


# -- parameters


def test_dotprompts_spellings_become_our_words() -> None:
    version = front(
        "config: {maxOutputTokens: 5, topK: 2, topP: 0.5, stopSequences: [a, b], temperature: 0.1, seed: 7}"
    )

    assert version.params == {
        "max_tokens": 5,
        "top_k": 2,
        "top_p": 0.5,
        "stop": ["a", "b"],
        "temperature": 0.1,
        "seed": 7,
    }


def test_spelling_does_not_change_the_digest() -> None:
    spellings = ["max_tokens: 5", "max_output_tokens: 5", "maxOutputTokens: 5", "maxTokens: 5"]

    assert len({front(f"config: {{{spelling}}}").digest for spelling in spellings}) == 1


def test_one_stop_text_is_a_list_of_one() -> None:
    assert front("config: {stop: END}").params == {"stop": ["END"]}


def test_unknown_parameters_pass_through_and_null_states_nothing() -> None:
    assert front("config: {min_p: 0.1, reasoning: {effort: low}, top_k: null}").params == {
        "min_p": 0.1,
        "reasoning": {"effort": "low"},
    }


def test_every_spelling_of_a_parameter_is_checked() -> None:
    assert set(keys_of(ConfigTable)) == set(PARAM_SPELLINGS)


def test_all_mistakes_of_the_front_matter_are_told_in_its_order() -> None:
    error = refused("descripton: x\nconfig:\n  temperature: hot\n  topP: 2\noutput: {format: xml}\ntools: [{nam: a}]")

    assert str(error).splitlines() == [
        "prompts/triage/v3.prompt:2: unknown key 'descripton'",
        "  did you mean 'description'?",
        "prompts/triage/v3.prompt:4: 'temperature' must be a number of at least 0, not text",
        "prompts/triage/v3.prompt:5: 'topP' must be a number from 0 to 1",
        "prompts/triage/v3.prompt:6: 'format' must be json or text, not 'xml'",
        "  have: json, text",
        "prompts/triage/v3.prompt:7: unknown key 'nam'",
        "  did you mean 'name'?",
    ]


@pytest.mark.parametrize("typo", ["temprature", "max_token", "stop_sequence"])
def test_a_typo_in_a_parameter_does_not_pass_through(typo: str) -> None:
    assert "did you mean" in str(refused(f"config: {{{typo}: 1}}").hint)


# -- output and tools


def test_a_schema_alone_means_json() -> None:
    assert front("output: {schema: {a: string}}").json_output
    assert front("output: {format: json}").json_output
    assert not front("output: {format: text}").json_output


def test_a_tool_without_parameters_takes_none() -> None:
    assert front("tools: [{name: now}]").tools == (Tool("now", "", {"type": "object", "properties": {}}),)


def test_a_tool_may_be_written_as_dotprompt_does() -> None:
    ours = front("tools: [{name: now, parameters: {zone: string}}]")
    theirs = front("tools: [{name: now, inputSchema: {zone: string}}]")

    assert ours.digest == theirs.digest


# -- the body against the declared inputs


def test_a_slot_that_the_input_schema_does_not_have_is_refused() -> None:
    error = refused("input: {schema: {ticket: string}}", "{{tikcet}}")

    assert "{{tikcet}}" in error.what
    assert error.hint == "did you mean 'ticket'?"


@pytest.mark.parametrize("schema", ["{ticket: string, (*): any}", "{type: object, properties: {ticket: {}}}"])
def test_an_open_schema_allows_other_slots(schema: str) -> None:
    assert front(f"input: {{schema: {schema}}}", "{{other}}").variables == {"other"}


def test_a_default_may_stand_in_for_the_schema() -> None:
    assert front("input: {schema: {ticket: string}, default: {tone: kind}}", "{{tone}} {{ticket}}")


# -- digests


BASE = "---\nconfig: {temperature: 0}\noutput: {schema: {a: string}}\n---\nSort {{ticket}} well.\n"


@pytest.mark.parametrize(
    "text",
    [
        BASE.replace("---\nconfig", "---\ndescription: x\nevalh.why: y\nmodel: strong\nmetadata: {a: 1}\nconfig"),
        BASE.replace("Sort", "{{! a note }}Sort"),
        BASE.replace("Sort", "{{!-- a {{note}} --}}\nSort"),
        BASE.replace("Sort", "\n\n  Sort"),
        BASE.replace("config:", "# a comment\nconfig:"),
        BASE.replace("{temperature: 0}", "\n  temperature: 0"),
        BASE.replace("Sort", '{{role "user"}}Sort'),
        "# licence\n" + BASE,
    ],
)
def test_what_is_not_sent_is_not_in_the_digest(text: str) -> None:
    assert read(text).digest == read(BASE).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("well", "badly"),
        ("Sort", '{{role "system"}}Sort'),
        ("temperature: 0", "temperature: 1"),
        ("a: string", "b: string"),
        ("{{ticket}}", "{{mail}}"),
        ("config", "input: {default: {ticket: x}}\nconfig"),
        ("config", "tools: [{name: now}]\nconfig"),
        ("config", "evalh.template: jinja2\nconfig"),
    ],
)
def test_what_is_sent_is_in_the_digest(old: str, new: str) -> None:
    assert read(BASE.replace(old, new)).digest != read(BASE).digest


def test_the_place_is_not_in_the_digest() -> None:
    elsewhere = Position("other", "v9", "prompts/other/v9.prompt", "main")

    assert read(BASE, elsewhere).digest == read(BASE).digest


@pytest.mark.parametrize("text", ["", "\n \n", "---\nmodel: x\n---\n", "---\nmodel: x\n---", "{{! only a note }}"])
def test_an_empty_body_is_refused(text: str) -> None:
    with pytest.raises(WorkspaceError, match="the body is empty"):
        read(text)


def test_every_key_stands_in_the_reference() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "prompt-files.md").read_text()
    keys = [*keys_of(FrontMatter), *keys_of(ConfigTable), *keys_of(ToolTable), "json", "text"]

    assert [key for key in keys if f"`{key}`" not in page] == []


def test_a_surprise_is_an_error_of_ours() -> None:
    for text in ("---\n&a [*a]\n---\nx", "---\n? [a]\n: b\n---\nx", "---\n!!python/object:os.system x\n---\nx"):
        with pytest.raises(EvalhError):
            read(text)
