"""Messages that somebody else rendered, read back through a version's template: what its slots must have held.

The fixed text of each message must be there, in its order; what stands between is what the slots were filled with. That
is a guess where a fixed text stands in a value too, so it is offered to a person and never taken unseen.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from evalh.core.errors import WorkspaceError
from evalh.core.located import Path
from evalh.core.prompt import PromptVersion
from evalh.core.schemas import NoPart, part_of, types_of
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.workspace.prompt.dialect_portable import Slots
from evalh.workspace.prompt.templates import CompiledVersion, compile_version

Said = tuple[str, str]
"""A message: who speaks, and its text."""


def inputs_of(version: PromptVersion, messages: Sequence[Said]) -> dict[str, JsonValue] | None:
    """Return the inputs with which a version renders these messages; None if it renders them with none."""
    compiled = readable(version)
    return None if compiled is None else read_back(compiled, version.input_schema, messages)


def readable(version: PromptVersion) -> CompiledVersion | None:
    """Return a version's template if messages can be read back through it; None for a pipeline or a broken one."""
    if version.pipeline is not None:
        return None
    try:
        return compile_version(version)
    except WorkspaceError:
        return None


def has_fixed_text(compiled: CompiledVersion) -> bool:
    """Whether a template says anything by itself: one that is only slots fits every call, and proves nothing."""
    pieces = (piece for section in compiled.sections for piece in section.pieces if isinstance(piece, Slots))
    return any(isinstance(segment, str) and segment.strip() for piece in pieces for segment in piece.segments)


def read_back(
    compiled: CompiledVersion, schema: Mapping[str, JsonValue] | None, messages: Sequence[Said]
) -> dict[str, JsonValue] | None:
    """Return the inputs with which a template renders these messages; None if it renders them with none.

    Only portable slots can be read back: media and logic cannot, nor two slots with nothing between them.
    """
    if len(compiled.sections) != len(messages):
        return None
    bound: dict[Path, str] = {}
    for section, (role, text) in zip(compiled.sections, messages, strict=True):
        slots = section.pieces[0] if len(section.pieces) == 1 else None
        if str(section.role) != role or not isinstance(slots, Slots) or not _bind(slots, text, bound):
            return None
    inputs = _inputs(bound, schema)
    return inputs if inputs is not None and _renders(compiled, inputs, messages) else None


def _bind(slots: Slots, text: str, bound: dict[Path, str]) -> bool:
    """Take a text apart along its fixed parts. Return whether it fits; a slot that is known must have the same text."""
    place, open_slot = 0, None
    for segment in slots.segments:
        if not isinstance(segment, str):
            if open_slot is not None:
                return False  # where one ends and the other begins, nobody knows
            open_slot = segment
            continue
        if open_slot is None:
            if not text.startswith(segment, place):
                return False
            place += len(segment)
            continue
        known = bound.get(open_slot)
        found = text.find(segment, place) if known is None else place + len(known)
        if segment is slots.segments[-1] and known is None:
            found = len(text) - len(segment)  # the last fixed text ends the message, whatever the value holds
        if found < place or not text.startswith(segment, found):
            return False
        if bound.setdefault(open_slot, text[place:found]) != text[place:found]:
            return False
        place, open_slot = found + len(segment), None
    if open_slot is not None:
        return bound.setdefault(open_slot, text[place:]) == text[place:]
    return place == len(text)


def _inputs(bound: Mapping[Path, str], schema: Mapping[str, JsonValue] | None) -> dict[str, JsonValue] | None:
    """Make inputs of what the slots held: JSON where the schema asks for something that is not text."""
    inputs: dict[str, JsonValue] = {}
    for path, text in bound.items():
        *outer, last = path
        place: JsonValue = inputs
        for key in outer:
            place = place.setdefault(key, {})
        if not isinstance(place, dict) or last in place:
            return None
        place[last] = _read(text, schema, path)
    return inputs


def _read(text: str, schema: Mapping[str, JsonValue] | None, path: Path) -> JsonValue:
    part = part_of(schema, path)
    types = None if isinstance(part, NoPart) else types_of(part)
    if types is not None and "string" not in types:
        with suppress(NotStrictJson):
            return parse(text)
    return text


def _renders(compiled: CompiledVersion, inputs: Mapping[str, JsonValue], messages: Sequence[Said]) -> bool:
    """Whether these inputs render these very messages: what was read back is nothing else."""
    try:
        rendered = compiled.render(inputs)
    except WorkspaceError:
        return False
    return [(str(message.role), message.text) for message in rendered] == list(messages)
