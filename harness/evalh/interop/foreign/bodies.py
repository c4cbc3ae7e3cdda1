"""Prompts of others as a version's body: what is a slot there is a slot here, and all else is text."""

import re
from collections.abc import Callable, Iterable, Mapping

from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.transfer import Fidelity, ProofSheet, Subject
from evalh.workspace.credentials import keys_in
from evalh.workspace.prompt.bodies import BodyError, Token, TokenKind
from evalh.workspace.prompt.dialect_portable import slot_path

REMOVED = "REMOVED-KEY"
_TEMPLATE = re.compile(r"(\\*)(\{\{|\{(?=[%#]))")
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "model", "model": "model"}

Slot = Callable[[str], str | None]
"""Returns what stands in a prompt of ours for what stands between braces; None: it is text there."""


def literal(text: str) -> str:
    """Return a text as a body that says it: what would be a slot or a marker is escaped."""
    return _TEMPLATE.sub(lambda found: f"{found[1] * 2}\\{found[2]}", text)


def is_slot(name: str) -> bool:
    """Whether a prompt can have a slot of this name, or path."""
    try:
        slot_path(Token(TokenKind.TAG, name, 1, name))
    except BodyError:
        return False
    return True


def body_of(messages: Iterable[tuple[str, str]]) -> str:
    """Return the body of messages, each a role of ours and its text, which is a body already."""
    parts = [f'{{{{role "{role}"}}}}\n{text.strip()}\n' for role, text in messages]
    return "".join(parts)


def role_of(stated: JsonValue) -> str | None:
    """Return our word for a role; None if there is none."""
    return _ROLES.get(stated) if isinstance(stated, str) else None


def filled(text: str, slots: re.Pattern[str], slot: Slot) -> str:
    """Return a body: each match becomes what `slot` says of its first group, and all else is text."""
    parts: list[str] = []
    end = 0
    for found in slots.finditer(text):
        instead = slot(found[1])
        if instead is not None:
            parts += [literal(text[end : found.start()]), instead]
            end = found.end()
    return "".join([*parts, literal(text[end:])])


def without_keys(text: str, where: str, sheet: ProofSheet) -> str:
    """Return a text without what looks like a key, and tell of each."""
    parts: list[str] = []
    end = 0
    for start, key in keys_in(text):
        why = "the source holds what looks like a key; it was not copied"
        do = "revoke it: everyone who can read the source has it"
        sheet.add(Fidelity.NOTE, where, "a literal key", why, do=do)
        begun = text.index(key, start)
        parts += [text[end:begun], REMOVED]
        end = begun + len(key)
    return "".join([*parts, text[end:]])


def text_of(content: JsonValue) -> str | None:
    """Return a message's content as text: a text, or a list of parts that are texts; None if there is more in it."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        inner = content.get("text")
        return inner if isinstance(inner, str) else None
    if isinstance(content, list):
        texts = [text_of(part) for part in content]
        return "".join(one for one in texts if one is not None) if None not in texts else None
    return None


def tell_left_out(sheet: ProofSheet, where: str, what: str, why: str, do: str | None = None) -> None:
    """Tell of a grader that is left out."""
    sheet.add(Fidelity.NOT, where, what, why, subject=Subject.GRADER, do=do)


def tell_own_prompt(sheet: ProofSheet, where: str, what: str, rest: str) -> None:
    """Tell of a judge that asks in evalh's words; `rest`: what stays, or differs too."""
    why = f"the judge's own prompt differs; {rest}"
    do = "evalh label and evalh calibrate show how good it is"
    sheet.add(Fidelity.NEAR, where, what, why, subject=Subject.GRADER, do=do)


def is_conversation(value: JsonValue) -> bool:
    """Whether a value is a list of messages that are texts of roles that we have."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(one, Mapping) and role_of(one.get("role")) is not None and isinstance(one.get("content"), str)
            for one in value
        )
    )
