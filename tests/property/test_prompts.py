"""Prompts with any input."""

import json
import string
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.analysis.prompt_diff import Op, diff
from evalh.core.errors import EvalhError, WorkspaceError
from evalh.core.prompt import PromptVersion
from evalh.core.request import Message, Text
from evalh.workspace.prompt.prompts import Prompts
from evalh.workspace.prompt.templates import compile_version
from evalh.workspace.prompt.versions import Position, parse_version

PLACE = Position("triage", "v1", "prompts/triage/v1.prompt")
FRAGMENTS = [
    "{{ticket}}",
    "{{a.b}}",
    "{{{x}}}",
    "{{#if x}}",
    "{{else}}",
    "{{/if}}",
    "{{#each l}}",
    "{{/each}}",
    "{{>tone}}",
    "{{>ring}}",
    "{{>gone}}",
    "{{history}}",
    "{{media url=photo}}",
    "{{! note }}",
    "{{!-- note --}}",
    "{{~x~}}",
    "{{{{raw}}}}",
    "{{{{/raw}}}}",
    "{% raw %}",
    "{% endraw %}",
    "{# note #}",
    "{% if x %}",
    "{% endif %}",
    "{% for x in l %}",
    "{% endfor %}",
    "{{x|upper}}",
    "\\{{",
    "\\\\{{",
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "{",
    "}",
    "\\",
    "---",
    "<<<",
    '{{role "system"}}',
    "{{role 'user'}}",
    '{{role "tool"}}',
    "\n",
    "\n---\n",
    "model: x",
    " ",
    "é",
    "\0",
]
KEYS = (
    "model",
    "config",
    "input",
    "output",
    "tools",
    "evalh.template",
    "evalh.why",
    "name",
    "acme.x",
    "schema",
    "format",
)

bodies = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=5))).map("".join)
dialects = st.sampled_from(["portable", "jinja2", "handlebars"])
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
hostile = st.lists(
    st.sampled_from(
        [
            *FRAGMENTS,
            "<<<dotprompt:role:system>>>",
            "<<<dotprompt:history>>>",
            "<<<dotprompt:media:url x>>>",
            "{{ticket}}",
        ]
    )
).map("".join)


def find_partial(name: str) -> tuple[str, str]:
    texts = {"tone": "Be {{kind}}.", "ring": "{{>ring}}"}
    if name not in texts:
        raise WorkspaceError(f"no partial {name!r}")
    return f"prompts/_{name}.prompt", texts[name]


def read(text: str) -> PromptVersion:
    return parse_version(text, PLACE, find_partial)


def attempt(run: Callable[[], Any]) -> tuple[Any, EvalhError | None]:
    """Return what came out, or the error of ours that did; anything else raised is a failure."""
    try:
        return run(), None
    except EvalhError as exc:
        return None, exc


def version_of(text: str) -> PromptVersion | None:
    version, error = attempt(lambda: read(text))
    assert error is None or str(error.where).startswith("prompts/")
    return version


# -- any text is a version or an error of ours


@given(st.text())
def test_any_text_is_a_version_or_an_error(text: str) -> None:
    version_of(text)


@given(bodies, dialects)
def test_any_body_is_a_version_or_an_error_and_so_is_any_rendering(body: str, dialect: str) -> None:
    version = version_of(f"---\nevalh.template: {dialect}\n---\n{body}")
    if version is None:
        return
    template = compile_version(version)
    inputs = {"ticket": "t", "x": "x", "l": [1, "a"], "a": {"b": 2}, "kind": "kind"}
    messages, error = attempt(lambda: template.render(inputs))
    assert messages if error is None else error.where
    assert template.variables == version.variables


@given(st.dictionaries(st.sampled_from(KEYS), json_values, max_size=4), st.text(string.printable, max_size=20))
def test_any_front_matter_is_a_version_or_an_error(keys: Mapping[str, Any], noise: str) -> None:
    lines = [f"{key}: {json.dumps(value)}" for key, value in keys.items()]
    version_of("---\n" + "\n".join([*lines, noise]) + "\n---\nbody")
    version_of("---\n" + "\n".join(lines) + "\n---\nbody")


# -- what the digest covers


class OneFile:
    """A tree that holds one version's file."""

    revision = None

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, path: str) -> bytes:
        return self.data

    def exists(self, path: str) -> bool:
        return path == PLACE.path

    def names(self, folder: str) -> list[str]:
        return {"prompts": ["triage"], "prompts/triage": ["v1.prompt"]}.get(folder.rstrip("/"), [])


def digest_of(data: bytes) -> str:
    return Prompts(OneFile(data), "prompts", {}).load("triage", "v1").digest


words = st.lists(st.text(string.ascii_letters, min_size=1, max_size=6), min_size=1, max_size=12)
lines = st.lists(words.map(" ".join), min_size=1, max_size=6)


@given(lines)
def test_line_ends_and_a_byte_order_mark_do_not_change_the_digest(body: list[str]) -> None:
    text = "\n".join(["---", "config: {temperature: 0}", "---", *body, ""]).encode()
    crlf = text.replace(b"\n", b"\r\n")

    assert (
        digest_of(text) == digest_of(crlf) == digest_of(b"\xef\xbb\xbf" + crlf) == digest_of(text.replace(b"\n", b"\r"))
    )


@given(lines, words.map(" ".join), st.data())
def test_notes_do_not_change_the_digest(body: list[str], note: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(body)))
    noted = [*body[:place], f"  {{{{! {note} }}}}", *body[place:]]
    front = f"---\ndescription: '{note}'\nevalh.why: '{note}'\nmodel: '{note}'\n# {note}\n---\n"

    assert read(front + "\n".join(noted)).digest == read("\n".join(body)).digest


@given(words, st.data())
def test_one_changed_word_changes_the_digest(body: list[str], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(body) - 1))
    changed = [*body[:place], body[place] + "x", *body[place + 1 :]]

    assert read(" ".join(changed)).digest != read(" ".join(body)).digest


# -- a case cannot add, remove or turn a message


BODY = """{{role "system"}}
Sort {{a}}.
{{role "user"}}
{{b}}
{{role "model"}}
{{a}}{{b}}
{{role "user"}}
Then: {{b}} {{c}}"""


DIALECTS = {
    dialect: compile_version(read(f"---\nevalh.template: {dialect}\n---\n{BODY}"))
    for dialect in ("portable", "jinja2", "handlebars")
}


@pytest.mark.parametrize("dialect", DIALECTS)
@given(st.one_of(hostile, st.text()), st.one_of(hostile, json_values), st.one_of(hostile, json_values))
def test_messages_and_roles_never_depend_on_what_a_case_holds(dialect: str, a: str, b: Any, c: Any) -> None:
    messages = DIALECTS[dialect].render({"a": a, "b": b, "c": c})

    assert [message.role.value for message in messages] == ["system", "user", "assistant", "user"]
    assert all(isinstance(part, Text) for message in messages for part in message.parts)
    assert messages[0].text == f"Sort {a}."


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), hostile), max_size=4), hostile)
def test_a_history_is_as_long_as_the_case_says(history: list[tuple[str, str]], ticket: str) -> None:
    template = compile_version(read('{{role "system"}}S{{history}}{{role "user"}}{{ticket}}'))
    said = [{"role": role, "content": content} for role, content in history]

    messages = template.render({"ticket": ticket, "messages": said})

    assert [(m.role.value, m.text) for m in messages[1:-1]] == history
    assert messages[-1].text == ticket


@given(json_values)
def test_any_history_is_messages_or_an_error(value: Any) -> None:
    template = compile_version(read("{{history}}"))

    messages, error = attempt(lambda: template.render({"messages": value}))

    assert all(isinstance(message, Message) for message in messages or ())
    assert error is None or "messages" in error.what


@given(st.text())
def test_a_value_comes_out_as_it_went_in(value: str) -> None:
    assert compile_version(read("{{x}}")).render({"x": value})[0].text == value


# -- differences


@given(lines, lines)
def test_a_diff_holds_both_sides(base: list[str], head: list[str]) -> None:
    found = diff(read("\n".join(base)), read("\n".join(head)))

    assert found.sections[0].text(Op.INSERT) == "\n".join(base)
    assert found.sections[0].text(Op.DELETE) == "\n".join(head)
    assert found.same_content == (base == head) == (not found.sections[0].changed)
