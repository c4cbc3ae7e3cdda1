"""What differs between two versions: the words of each message, the settings, the schemas, the tools."""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher, unified_diff
from enum import StrEnum
from itertools import groupby
from typing import Literal, TypeAlias

from evalh.core.case import ABSENT, Absent
from evalh.core.prompt import OnBad, Pipeline, PromptVersion, Section, StepSpec
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

Side: TypeAlias = JsonValue | Literal[Absent.ABSENT]

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_MAX_WORDS = 2_000  # above it a word diff takes seconds, and nobody reads it
_MOST_BY_DIFFLIB = 10_000  # pairs of parts: a few milliseconds at worst
_MOST_IN_BITS = 400_000_000  # pairs: 50 MB, a second
_HISTORY = "history"
_ANSWERING = frozenset({"model", "assistant"})
_SHORT = len("sha256:") + 12  # characters of a digest that people compare


class Op(StrEnum):
    """What happens to a stretch of text on the way from base to head."""

    EQUAL = "equal"
    DELETE = "delete"
    INSERT = "insert"


class Edit(Value):
    """A stretch of text; joined, all but the inserts are the base, all but the deletes the head."""

    op: Op
    text: str


class Change(Value):
    """One key that differs; `ABSENT` where a side does not have it. Keys of schemas are paths: `output.schema.type`."""

    key: str
    base: Side
    head: Side


class SectionDiff(Value):
    """One message on both sides; a role is None if the side does not have it, `history` for the history."""

    base_role: str | None
    head_role: str | None
    edits: tuple[Edit, ...]

    @property
    def changed(self) -> bool:
        """Whether the two sides differ."""
        return self.base_role != self.head_role or any(edit.op is not Op.EQUAL for edit in self.edits)

    @property
    def title(self) -> str:
        """The role of the message, or both roles; or that one side does not have it."""
        roles = dict.fromkeys(role for role in (self.base_role, self.head_role) if role)
        word = "" if self.base_role and self.head_role else " added" if self.head_role else " removed"
        return f"{' → '.join(roles)}{word}"

    def text(self, without: Op) -> str:
        """Return one side: the head without the deletes, the base without the inserts."""
        return "".join(edit.text for edit in self.edits if edit.op is not without)

    def unified(self, context: int = 3) -> list[str]:
        """Return the lines of a unified diff, without its file names; empty if the text is the same."""
        base = [] if self.base_role is None else self.text(Op.INSERT).split("\n")
        head = [] if self.head_role is None else self.text(Op.DELETE).split("\n")
        return list(unified_diff(base, head, n=context, lineterm=""))[2:]


class MessageBlock(Value):
    """Messages in a row that only one side has: "8 examples added" where they are questions with their answers."""

    sections: tuple[SectionDiff, ...]

    @property
    def title(self) -> str:
        """What came or went."""
        roles = [section.head_role or section.base_role for section in self.sections]
        word = "removed" if self.sections[0].head_role is None else "added"
        if len(roles) % 2 == 0 and set(roles[::2]) == {"user"} and set(roles[1::2]) <= _ANSWERING:
            count, noun = len(roles) // 2, "example"
        else:
            count, noun = len(roles), "message"
        return f"{count} {noun}{'' if count == 1 else 's'} {word}"


class PromptDiff(Value, kw_only=True):
    """Two versions beside each other. Same digests mean that the same is sent; notes and model may differ still."""

    base: str  # triage@v2
    head: str
    base_digest: str
    head_digest: str
    sections: tuple[SectionDiff, ...]  # the unchanged ones too
    config: tuple[Change, ...]
    schemas: tuple[Change, ...]
    tools: tuple[Change, ...]
    steps: tuple[Change, ...]  # of pipelines: `extract.prompt`, `reply.when`
    notes: tuple[Change, ...]  # description, why, models: not part of the content

    @property
    def parts(self) -> list[SectionDiff | MessageBlock]:
        """The messages that differ; those in a row that one side lacks are one block."""
        found: list[SectionDiff | MessageBlock] = []
        for lacks, group in groupby((one for one in self.sections if one.changed), _lacking):
            sections = tuple(group)
            found += [MessageBlock(sections)] if lacks and len(sections) > 1 else sections
        return found

    @property
    def same_content(self) -> bool:
        """Whether both versions send the same."""
        return self.base_digest == self.head_digest

    @property
    def changes(self) -> dict[str, tuple[Change, ...]]:
        """The keys that differ, part by part."""
        parts = ("config", "schemas", "tools", "steps", "notes")
        return {part: getattr(self, part) for part in parts}


def _lacking(section: SectionDiff) -> str:
    """Say which side does not have a message; empty: both have it."""
    return "base" if section.base_role is None else "head" if section.head_role is None else ""


def diff(base: PromptVersion, head: PromptVersion) -> PromptDiff:
    """Compare two versions."""
    return PromptDiff(
        base=base.label,
        head=head.label,
        base_digest=base.digest,
        head_digest=head.digest,
        sections=tuple(_sections(base.sections, head.sections)),
        config=tuple(_changes(_config(base), _config(head))),
        schemas=tuple(_changes(_flat(_schemas(base)), _flat(_schemas(head)))),
        tools=tuple(_changes(_flat(_tools(base)), _flat(_tools(head)))),
        steps=tuple(one for one in _changes(_steps(base.pipeline), _steps(head.pipeline)) if not _says_the_same(one)),
        notes=tuple(_changes(_notes(base), _notes(head))),
    )


def step_document(spec: StepSpec) -> dict[str, JsonValue]:
    """Return a step as people read it: what it asks, with the beginning of its digest, and what the file states."""
    function = spec.function
    stated: dict[str, JsonValue] = {
        "prompt": None if spec.version is None else f"{spec.version.label} {spec.version.digest[:_SHORT]}",
        "python": None if function is None else f"{function.path} {function.digest[:_SHORT]}",
        **{key: value for key, value in spec.document().items() if key in ("inputs", "when", "else", "after")},
        "model": spec.model,
        "checks": [{one.kind: dict(one.params)} if one.params else one.kind for one in spec.checks],
        "on_bad": None if spec.on_bad is OnBad.CONTINUE else spec.on_bad.value,
    }
    if function is not None:
        stated |= {"env": list(function.env), "revision": function.revision, "effects": function.effects or None}
        stated |= {"asks": {name: f"{one.label} {one.digest[:_SHORT]}" for name, one in function.asks.items()}}
    return {key: value for key, value in stated.items() if value not in (None, [], {})}


def _steps(pipeline: Pipeline | None) -> dict[str, JsonValue]:
    if pipeline is None:
        return {}
    steps = {one.name: {k: v for k, v in step_document(one).items() if k != "model"} for one in pipeline.steps}
    return {**_flat(steps), "output": list(pipeline.output)}


def _says_the_same(change: Change) -> bool:
    """Whether a step asks the same under another name: a released draft."""
    sides = (change.base, change.head)
    digests = {side.rpartition(" ")[2] if isinstance(side, str) else None for side in sides}
    return change.key.endswith(".prompt") and len(digests) == 1


def _config(version: PromptVersion) -> dict[str, JsonValue]:
    if version.pipeline is not None:
        return {}
    logic = {"evalh.template": version.dialect.value}
    return {**version.params, **logic, "output.format": "json" if version.json_output else "text"}


def _schemas(version: PromptVersion) -> dict[str, JsonValue]:
    if version.pipeline is not None:  # they are its steps'
        return {}
    stated = {"input.schema": version.input_schema, "output.schema": version.output_schema}
    stated["input.default"] = version.input_defaults or None
    return {key: schema for key, schema in stated.items() if schema is not None}


def _tools(version: PromptVersion) -> dict[str, JsonValue]:
    return {tool.name: {"description": tool.description, "parameters": tool.parameters} for tool in version.tools}


def _notes(version: PromptVersion) -> dict[str, JsonValue]:
    notes = {"description": version.description, "evalh.why": version.why, "model": version.model}
    notes |= {f"{one.name}.model": one.model for one in (version.pipeline.steps if version.pipeline else ())}
    return {key: value for key, value in notes.items() if value is not None}


def _flat(tree: Mapping[str, JsonValue], prefix: str = "") -> dict[str, JsonValue]:
    """Return every leaf under its path; lists and empty mappings are leaves."""
    leaves: dict[str, JsonValue] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            leaves |= _flat(value, f"{path}.")
        else:
            leaves[path] = value
    return leaves


def _changes(base: Mapping[str, JsonValue], head: Mapping[str, JsonValue]) -> Iterator[Change]:
    for key in sorted(base.keys() | head.keys()):
        before, after = base.get(key, ABSENT), head.get(key, ABSENT)
        # 1 == True in Python, not in JSON.
        if before != after or type(before) is not type(after):
            yield Change(key, before, after)


def _sections(base: Sequence[Section], head: Sequence[Section]) -> Iterator[SectionDiff]:
    """Pair the messages: equal ones first, then in order within the same role, then what is left."""
    same = _opcodes([(s.role, s.source) for s in base], [(s.role, s.source) for s in head])
    for op, base_from, base_to, head_from, head_to in same:
        left, right = base[base_from:base_to], head[head_from:head_to]
        if op == "equal":
            yield from (_section(before, after) for before, after in zip(left, right, strict=True))
        else:
            yield from _unequal(left, right)


def _unequal(base: Sequence[Section], head: Sequence[Section]) -> Iterator[SectionDiff]:
    roles = _opcodes([s.role for s in base], [s.role for s in head])
    for op, base_from, base_to, head_from, head_to in roles:
        left, right = base[base_from:base_to], head[head_from:head_to]
        if op == "equal" or (op == "replace" and len(left) == len(right)):
            yield from (_section(before, after) for before, after in zip(left, right, strict=True))
        else:
            yield from (_section(before, None) for before in left)
            yield from (_section(None, after) for after in right)


def _section(base: Section | None, head: Section | None) -> SectionDiff:
    edits = _edits(base.source if base else "", head.source if head else "")
    return SectionDiff(_role(base), _role(head), tuple(edits))


def _role(section: Section | None) -> str | None:
    if section is None:
        return None
    return _HISTORY if section.role is None else section.role


def _edits(base: str, head: str) -> list[Edit]:
    """Return the edits, lines first and words inside the lines that changed."""
    edits: list[Edit] = []
    for op, before, after in _matched(base.splitlines(keepends=True), head.splitlines(keepends=True)):
        words = _WORDS.findall(before), _WORDS.findall(after)
        if op == "replace" and max(map(len, words)) <= _MAX_WORDS:
            for inner, left, right in _matched(*words):
                edits += _stretch(inner, left, right)
        else:
            edits += _stretch(op, before, after)
    return _merged(edits)


def _matched(base: Sequence[str], head: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for op, base_from, base_to, head_from, head_to in _opcodes(base, head):
        yield op, "".join(base[base_from:base_to]), "".join(head[head_from:head_to])


def _opcodes(base: Sequence[Hashable], head: Sequence[Hashable]) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield what turns base into head, as difflib does.

    difflib takes cubic time where the same parts come again and again, and a prompt may be a stranger's: only what is
    short is left to it. What is longer is compared in bits; the longest is one replacement between its two ends.
    """
    pairs = len(base) * len(head)
    if pairs <= _MOST_BY_DIFFLIB:
        yield from SequenceMatcher(None, base, head, autojunk=False).get_opcodes()
        return
    if pairs > _MOST_IN_BITS:
        yield from _ends(base, head)
        return
    from rapidfuzz.distance import Indel

    at = (0, 0)
    for equal in (one for one in Indel.opcodes(base, head) if one.tag == "equal"):
        yield from _changed(at, (equal.src_start, equal.dest_start))
        yield "equal", equal.src_start, equal.src_end, equal.dest_start, equal.dest_end
        at = (equal.src_end, equal.dest_end)
    yield from _changed(at, (len(base), len(head)))


def _ends(base: Sequence[Hashable], head: Sequence[Hashable]) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield the same beginning, one change, the same end."""
    most = min(len(base), len(head))
    begin = next((at for at in range(most) if base[at] != head[at]), most)
    most -= begin
    end = next((at for at in range(most) if base[-1 - at] != head[-1 - at]), most)
    if begin:
        yield "equal", 0, begin, 0, begin
    yield from _changed((begin, begin), (len(base) - end, len(head) - end))
    if end:
        yield "equal", len(base) - end, len(base), len(head) - end, len(head)


def _changed(begin: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield the change between two places, if there is one."""
    gone, come = end[0] > begin[0], end[1] > begin[1]
    if gone or come:
        yield "replace" if gone and come else "delete" if gone else "insert", begin[0], end[0], begin[1], end[1]


def _stretch(op: str, before: str, after: str) -> list[Edit]:
    if op == "equal":
        return [Edit(Op.EQUAL, before)]
    return [Edit(kind, text) for kind, text in ((Op.DELETE, before), (Op.INSERT, after)) if text]


def _merged(edits: Sequence[Edit]) -> list[Edit]:
    """Join neighbours of one kind."""
    merged: list[Edit] = []
    for edit in edits:
        if merged and merged[-1].op is edit.op:
            merged[-1] = Edit(edit.op, merged[-1].text + edit.text)
        else:
            merged.append(edit)
    return merged
