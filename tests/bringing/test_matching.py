"""Messages that somebody else rendered are read back through a template."""

from pathlib import Path

import pytest

from evalh.core.prompt import PromptVersion
from evalh.workspace.files import WorkTree
from evalh.workspace.prompt.matching import inputs_of
from evalh.workspace.prompt.prompts import Prompts
from evalh.workspace.prompt.templates import compile_version

FRONT = "---\ninput: {schema: {ticket: string, count: integer, order(object): {id: string}}}\n---\n"
BODY = '{{role "system"}}\nSort it.\n{{role "user"}}\nTicket: {{ticket}}\nCount: {{count}} of {{order.id}}.\nAgain {{ticket}}!'


def version(tmp_path: Path, text: str) -> PromptVersion:
    folder = tmp_path / "prompts/p"
    folder.mkdir(parents=True)
    (folder / "v1.prompt").write_text(text)
    return Prompts(WorkTree(tmp_path), "prompts", {}).load("p", "v1")


def said(one: PromptVersion, inputs: dict[str, object]) -> list[tuple[str, str]]:
    return [(str(message.role), message.text) for message in compile_version(one).render(inputs)]


@pytest.mark.parametrize(
    "inputs",
    [
        {"ticket": "It broke.", "count": 3, "order": {"id": "A-1"}},
        {"ticket": "", "count": 0, "order": {"id": ""}},
        {"ticket": "two\nlines {{ticket}} \\ é", "count": -1, "order": {"id": "7"}},
    ],
)
def test_what_the_slots_held_is_read_back(tmp_path: Path, inputs: dict[str, object]) -> None:
    one = version(tmp_path, FRONT + BODY)

    assert inputs_of(one, said(one, inputs)) == inputs


def test_a_fixed_text_that_differs_by_a_letter_does_not_fit(tmp_path: Path) -> None:
    one = version(tmp_path, FRONT + BODY)
    messages = said(one, {"ticket": "x", "count": 3, "order": {"id": "A"}})

    assert inputs_of(one, [("system", "Sort them."), messages[1]]) is None
    assert inputs_of(one, messages[1:]) is None
    assert inputs_of(one, [("user", messages[0][1]), messages[1]]) is None


def test_one_slot_with_two_values_does_not_fit(tmp_path: Path) -> None:
    one = version(tmp_path, "{{ticket}} and {{ticket}}.")

    assert inputs_of(one, [("user", "a and b.")]) is None
    assert inputs_of(one, [("user", "a and a.")]) == {"ticket": "a"}


@pytest.mark.parametrize("body", ["{{a}}{{b}}", "---\nevalh.template: jinja2\n---\n{% if a %}{{a}}{% endif %}"])
def test_what_cannot_be_read_back_is_not_guessed(tmp_path: Path, body: str) -> None:
    one = version(tmp_path, body)

    assert inputs_of(one, [("user", "ab")]) is None


def test_a_value_that_holds_the_last_fixed_text_is_read_back(tmp_path: Path) -> None:
    one = version(tmp_path, "Say {{a}}.")

    assert inputs_of(one, [("user", "Say one. Say two..")]) == {"a": "one. Say two."}
