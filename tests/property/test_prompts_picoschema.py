"""Picoschema against Dotprompt's own reader, on schemas that hypothesis writes."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evalh.core.errors import WorkspaceError
from evalh.workspace.prompt.picoschema import read_schema

names = st.text("abcdefgh", min_size=1, max_size=4)
descriptions = st.text("abc ,é", max_size=8).map(str.strip)
scalars = st.sampled_from(["string", "number", "integer", "boolean", "null", "any"])
described = st.builds(lambda kind, said: f"{kind}, {said}" if said else kind, scalars, descriptions)
enums = st.lists(st.one_of(st.text("ab", max_size=2), st.integers(0, 3), st.none()), min_size=1, max_size=3)
suffixes = st.builds(lambda said: f", {said}" if said else "", descriptions)


def fields(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    mapping = st.dictionaries(names, described, max_size=2)
    field = st.one_of(
        st.tuples(st.just(""), inner),
        st.tuples(st.builds(lambda said: f"(array{said})", suffixes), inner),
        st.tuples(st.builds(lambda said: f"(enum{said})", suffixes), enums),
        st.tuples(st.builds(lambda said: f"(object{said})", suffixes), mapping),
    )
    entries = st.dictionaries(names, st.tuples(st.booleans(), field), max_size=4)
    written = entries.map(
        lambda found: {f"{name}{'?' * optional}{kind}": value for name, (optional, (kind, value)) in found.items()}
    )
    return st.tuples(written, st.one_of(st.none(), described)).map(
        lambda pair: pair[0] if pair[1] is None else {**pair[0], "(*)": pair[1]}
    )


schemas = fields(st.recursive(described, fields, max_leaves=6)).filter(bool)


@given(schemas)
def test_a_schema_reads_as_dotprompt_reads_it(schema: dict[str, Any]) -> None:
    from dotpromptz import picoschema

    ours = read_schema(schema, lambda *_: "")
    theirs = asyncio.run(picoschema.picoschema_to_json_schema(schema))  # last: it writes into its argument

    assert ours == theirs


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), scalars),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.text(max_size=6), st.sampled_from(["type", "properties", "$ref", "enum", "a?(array)", "(*)"])),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@given(json_values)
def test_any_value_is_a_valid_schema_or_an_error(value: Any) -> None:
    import jsonschema_rs

    schema: dict[str, Any] = {}
    where: str | None = ""
    try:
        schema = read_schema(value, lambda *path: "/".join(map(str, path)))
    except WorkspaceError as exc:
        where = exc.where

    jsonschema_rs.meta.validate(schema)
    assert where is not None
