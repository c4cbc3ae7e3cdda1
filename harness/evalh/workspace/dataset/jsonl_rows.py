"""JSON Lines datasets: one case per line, read strictly and fast."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import msgspec

from evalh.core.case import ABSENT, NO_DOUBLES, NO_GRADERS, Case
from evalh.core.digest import canonical
from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.located import kind_of
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.workspace.files import ByteRange, decode, read_lines, refuse_conflict

_KEYS = ("id", "inputs", "expected", "tags", "cluster", "given", "source", "graders")
_FOREIGN = {
    **dict.fromkeys(("input", "vars", "variables"), 'inputs, an object: "inputs": {"<name>": …}'),
    **dict.fromkeys(("expected_output", "ideal", "target", "reference", "reference_outputs", "answer"), "expected"),
    **dict.fromkeys(
        ("assert", "asserts", "assertions", "grader"), 'graders, a list: "graders": [{"contains": "refund"}]'
    ),
    "metadata": "inputs, if the prompt needs it; otherwise leave it out",
}
_DEEPEST = 200
_DEEPEST_GRADERS = 40  # a grader in a grader is built and asked by a function that calls itself
_MOST_GRADERS = 200  # of one row
_MOST_VALUES = 20_000  # lists, objects and what stands in them, in all of a row's graders
_NO_TAGS: frozenset[str] = frozenset()


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    inputs: dict[str, Any]
    expected: Any = msgspec.UNSET
    tags: list[str] | msgspec.UnsetType = msgspec.UNSET
    cluster: str | msgspec.UnsetType = msgspec.UNSET
    given: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    source: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    graders: list[str | dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET


class JsonLines:
    """A file of JSON Lines."""

    def __init__(self, name: str, start: int) -> None:
        """`name` is for messages, `start` the offset of the first line."""
        self._name = name
        self._start = start
        self._decode = msgspec.json.Decoder(_Row).decode
        self._encode = msgspec.json.Encoder().encode

    def rows(self, file: BinaryIO) -> Iterator[ByteRange]:
        """Find the rows; blank lines are skipped."""
        spans = read_lines(file, self._name, self._start, 1)
        return (span for span in spans if not span.raw.isspace())

    def case(self, span: ByteRange) -> Case:
        """Read one row. Raises WorkspaceError."""
        row = self._fast(span.raw)
        if row is None:
            return strict_case(span, self._name)
        return self._case(row, span)

    def again(self, span: ByteRange) -> Case:
        """Read a row that `case` has read before: nothing in it can be lost."""
        try:
            return self._case(self._decode(span.raw), span)
        except (msgspec.MsgspecError, ValueError, OverflowError):
            return strict_case(span, self._name)

    heading = None

    def with_cluster(self, span: ByteRange, cluster: str | None) -> bytes:
        """Return a row that names no cluster with this one as its last key; all else stays as it is written."""
        if cluster is None:
            return span.raw
        before = span.raw[: span.raw.rindex(b"}")].rstrip(b" \t\r\n")
        behind_first_key = span.raw.split(b'"', 2)[2].lstrip(b" \t\r\n")  # no key of a row holds a quote
        comma, colon = (", ", ": ") if behind_first_key[1:2] == b" " else (",", ":")
        key = f'{comma}"cluster"{colon}{json.dumps(cluster, ensure_ascii=False)}'
        return before + key.encode() + span.raw[len(before) :]

    def _case(self, row: _Row, span: ByteRange) -> Case:
        expected = ABSENT if row.expected is msgspec.UNSET else row.expected
        tags = frozenset(row.tags) if row.tags else _NO_TAGS
        cluster = None if row.cluster is msgspec.UNSET else row.cluster
        return Case(
            id=row.id,
            inputs=row.inputs,
            expected=expected,
            tags=tags,
            where=f"{self._name}:{span.line}",
            cluster=cluster,
            given=row.given or NO_DOUBLES,
            source=None if row.source is msgspec.UNSET else row.source,
            graders=row.graders or NO_GRADERS,
        )

    def _fast(self, raw: bytes) -> _Row | None:
        r"""Read a row with msgspec; None if that may lose something or the row is wrong.

        msgspec keeps integers exact and refuses NaN, infinities and broken UTF-8 as the strict reader does, but of
        two equal keys it drops one. Strings are what quotes count: a text of JSON holds two for each key and string
        and one for each quote inside them, unless that is written as \u0022. So equal counts mean that none is lost.
        """
        if len(raw) > _DEEPEST and raw.count(b"{") + raw.count(b"[") > _DEEPEST:
            return None
        if b"\\" in raw and b"\\u0022" in raw:
            return None
        try:
            row = self._decode(raw)
            complete = self._encode(row).count(b'"') == raw.count(b'"')
        except (msgspec.MsgspecError, ValueError, OverflowError):
            return None
        if row.graders and _wrong_graders(row.graders):
            return None
        named = row.id.strip() and not (row.tags and "" in row.tags)
        return row if complete and named and (row.cluster is msgspec.UNSET or row.cluster.strip()) else None


def strict_case(span: ByteRange, name: str) -> Case:
    """Read one row slowly. Raises WorkspaceError that says what is wrong with it."""
    where = f"{name}:{span.line}"
    text = decode(span.raw, name, span.line)
    refuse_conflict(text, name, span.line)
    row = _object(text, where)
    for key in row:
        if key not in _KEYS:
            hint = f"it belongs in {_FOREIGN[key]}" if key in _FOREIGN else did_you_mean(key, _KEYS)
            raise WorkspaceError(f"unknown key {key!r}", where=where, hint=hint)
    case_id = row.get("id")
    if isinstance(case_id, int) and not isinstance(case_id, bool):
        raise WorkspaceError("'id' must be text, not a number", where=where, hint=f'write "id": "{case_id}"')
    if not isinstance(case_id, str) or not case_id.strip():
        instead = "" if isinstance(case_id, str) else f", not {kind_of(case_id)}"
        found = f"must be text that is not empty{instead}" if "id" in row else "is missing"
        raise WorkspaceError(f"'id' {found}", where=where, hint="results are paired by id: each row needs its own")
    inputs = row.get("inputs")
    if not isinstance(inputs, dict):
        found = f"must be an object, not {kind_of(inputs)}" if "inputs" in row else "is missing"
        raise WorkspaceError(f"'inputs' {found}", where=where, hint='"inputs": {"<name>": …}')
    tags = row.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag for tag in tags):
        raise WorkspaceError("'tags' must be a list of texts", where=where, hint='"tags": ["short"]')
    cluster = row.get("cluster")
    if "cluster" in row and not (isinstance(cluster, str) and cluster.strip()):
        raise WorkspaceError("'cluster' must be text that is not empty", where=where, hint='"cluster": "order-late"')
    given = row.get("given", {})
    if not isinstance(given, dict) or not all(given):
        hint = '"given": {"<step>": what it returns}'
        raise WorkspaceError("'given' must be an object of outputs by step", where=where, hint=hint)
    graders = row.get("graders", [])
    if (wrong := _wrong_graders(graders)) is not None:
        raise WorkspaceError(f"'graders' {wrong}", where=where, hint='"graders": ["json", {"contains": "refund"}]')
    return Case(
        id=case_id,
        inputs=inputs,
        expected=row.get("expected", ABSENT),
        tags=frozenset(tags),
        where=where,
        cluster=cluster,
        given=given or NO_DOUBLES,
        source=_source(row, where),
        graders=graders or NO_GRADERS,
    )


def _source(row: Mapping[str, JsonValue], where: str) -> dict[str, JsonValue] | None:
    """Return where a row was found, if it says so. Raises WorkspaceError."""
    source = row.get("source")
    if "source" in row and not isinstance(source, dict):
        hint = "`evalh dataset add` writes it; leave it out of other rows"
        raise WorkspaceError(f"'source' must be an object, not {kind_of(source)}", where=where, hint=hint)
    return source


def _wrong_graders(graders: JsonValue) -> str | None:
    """Say what is wrong with the form of a row's own graders; what they are is known where a suite is read."""
    if not isinstance(graders, list):
        return f"must be a list of graders, not {kind_of(graders)}"
    for entry in graders:
        if not entry or not isinstance(entry, str | dict):
            found = kind_of(entry) if entry or not isinstance(entry, str | dict) else "empty"
            return f"must be a list of names, or of one name with its parameters; an entry is {found}"
    level: list[JsonValue] = [graders]
    held = 0
    for _ in range(_DEEPEST_GRADERS):
        inner = [value.values() if isinstance(value, dict) else value for value in level]
        held += sum(map(len, inner))
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if len(graders) > _MOST_GRADERS or held > _MOST_VALUES:
            return f"must be at most {_MOST_GRADERS} graders with at most {_MOST_VALUES:,} values in all"
        if not level:
            return None
    return f"must be nested at most {_DEEPEST_GRADERS} levels deep"


def _object(text: str, where: str) -> Mapping[str, JsonValue]:
    try:
        row = parse(text.rstrip())  # the line end is not the row's
    except NotStrictJson as exc:
        spread = text.strip() in ("[", "{")
        hint = "a dataset has one JSON object on each line; this file spreads over several" if spread else None
        raise WorkspaceError(f"is not JSON: {exc.in_line}", where=where, hint=hint) from None
    if not isinstance(row, dict):
        raise WorkspaceError(
            f"a row must be an object, not {kind_of(row)}", where=where, hint='{"id": "…", "inputs": {…}} on each line'
        )
    refuse_unholdable(row, where)
    return row


def refuse_unholdable(row: JsonValue, where: str) -> None:
    """Raise WorkspaceError for an object or list that JSON text can say and that we cannot hold."""
    _refuse_depth(row, where)
    try:
        canonical(row).decode()
    except TypeError:  # 1e999: JSON, but no number that we can hold
        raise WorkspaceError("a number is too large", where=where, hint="write it as text") from None
    except UnicodeDecodeError:
        raise WorkspaceError("holds half a surrogate pair, which is not text", where=where) from None


def _refuse_depth(row: JsonValue, where: str) -> None:
    level = [row]
    for _ in range(_DEEPEST):
        inner = [value.values() if isinstance(value, dict) else value for value in level]
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not level:
            return
    raise WorkspaceError(f"nested more than {_DEEPEST} levels deep", where=where)
