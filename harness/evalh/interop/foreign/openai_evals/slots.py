"""Templates of OpenAI Evals: `{{item.x}}` is of the row, `{{sample.output_text}}` of the answer."""

import json
import re
from collections.abc import Iterable, Mapping

from evalh.core.case import ABSENT
from evalh.core.strict_json import JsonValue
from evalh.graders.paths import BadPath, JsonPath

SLOT = re.compile(r"\{\{[ \t]*([A-Za-z_][\w.\[\]-]*)[ \t]*\}\}")
_ITEM = "item."
_TEXT = ("sample.output_text", "sample.output_text.strip()")
_JSON = "sample.output_json"


def only_slot(template: JsonValue) -> str | None:
    """Return what a template names, if it is one slot and nothing else."""
    found = SLOT.fullmatch(template.strip()) if isinstance(template, str) else None
    return None if found is None else found[1]


def output_place(template: JsonValue) -> str | None:
    """Return the path in the output's JSON that a template means; "" for the output's text, None for all else."""
    slot = only_slot(template)
    if slot in _TEXT:
        return ""
    if slot is not None and slot.startswith(f"{_JSON}."):
        return slot.removeprefix(f"{_JSON}.")
    return None


def item_path(template: JsonValue) -> str | None:
    """Return the place in the item that a template means; None if it is not one place."""
    slot = only_slot(template)
    return slot.removeprefix(_ITEM) if slot is not None and slot.startswith(_ITEM) else None


def of_item(template: str) -> bool:
    """Whether a template holds nothing but text and the row's values."""
    return all(slot.startswith(_ITEM) for slot in SLOT.findall(template))


def rendered(template: str, item: JsonValue) -> str:
    """Return a template of the item's values as text; what the item lacks is empty."""
    return SLOT.sub(lambda found: text_at(item, found[1].removeprefix(_ITEM)), template)


def text_at(item: JsonValue, path: str) -> str:
    """Return a value of the item as text: texts as they are, all else as JSON."""
    try:
        value = JsonPath.parse(path).find(item)
    except BadPath:
        value = ABSENT
    if value is ABSENT or value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def expected_of(item: JsonValue, paths: Iterable[str]) -> dict[str, JsonValue]:
    """Return what the row expects: the values that graders compare with, each at its path."""
    tree: dict[str, JsonValue] = {}
    for path in paths:
        *parents, last = path.split(".")
        place = tree
        for name in parents:
            inner = place.setdefault(name, {})
            place = inner if isinstance(inner, dict) else place
        place[last] = text_at(item, path)
    return tree


def told(messages: JsonValue, texts: Iterable[tuple[str, str]]) -> str:
    """Return the messages of a judge as one text, whose slots are named in words."""
    words = dict(texts)
    lines = []
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, Mapping) else None
        inner = content.get("text") if isinstance(content, Mapping) else content
        if isinstance(inner, str):
            lines.append(
                SLOT.sub(lambda found: words.get(found[1], f"({found[1].replace('item.', 'the input ')})"), inner)
            )
    return "\n\n".join(line.strip() for line in lines)
