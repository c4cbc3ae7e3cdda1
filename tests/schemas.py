"""The JSON Schemas of the `--json` documents, made from their declarations; published in `schemas/documents/`."""

import pkgutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, TypeAlias

import msgspec

import evalh.report.documents as package
from evalh.core.case import ABSENT
from evalh.core.log import CallRow, CaseDetail, RunRow, SampleDetail
from evalh.report.documents.document import Document
from evalh.report.documents.log import _WHERE_THERE
from evalh.report.documents.run import RunGrader
from evalh.workspace.kept.calibrations import CalibrationDocument

JsonSchema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ROWS = {"case": CaseDetail, "sample": SampleDetail, "call": CallRow, "calls": CallRow, "unfinished": RunRow}
"""Documents that hold a row of the log, by the key that holds it."""
TIMES = {"total_ms": "latency_ms", "waited_ms": "waited_ms", "checks_ms": "checks_ms"}


def documents() -> Mapping[str, JsonSchema]:
    """Return the schema of each document, by its name: `run` of `evalh.run/1`."""
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    kinds = defaultdict(list)
    for kind in [*_below(Document), *_with_a_tag(), CalibrationDocument]:
        kinds[str(kind.__struct_config__.tag).removeprefix("evalh.").removesuffix("/1")].append(kind)
    return {name: _schema(name, of) for name, of in sorted(kinds.items())}


def _below(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


def _with_a_tag() -> list[type[msgspec.Struct]]:
    from evalh.report.documents.prompts import ReleaseDocument
    from evalh.report.documents.workspace import PowerDocument

    return [PowerDocument, ReleaseDocument]


def _schema(name: str, kinds: list[type[msgspec.Struct]]) -> JsonSchema:
    row = ROWS.get(name)
    found, components = msgspec.json.schema_components([*kinds, *([row] if row else [])], ref_template="#/$defs/{name}")
    refs = list(found)
    if row:
        rows = {"type": "array", "items": refs.pop()} if name == "calls" else refs.pop()
        components[kinds[0].__name__]["properties"][name] = rows
    schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
    return {"$schema": DIALECT, "title": f"evalh.{name}/1", **schema, "$defs": _as_printed(components)}


def _as_printed(schema: Any) -> Any:
    """Say amounts as numbers, and a latency of the log by the names of its columns, as documents do."""
    if isinstance(schema, list):
        return [_as_printed(part) for part in schema]
    if not isinstance(schema, dict):
        return None if schema is ABSENT else schema
    if schema.get("format") == "decimal":
        return {"type": "number"}
    # The promise does not cover the wording of docstrings, nor the defaults of keys that older logs lack.
    unsaid = {key for key in ("default", "description") if not isinstance(schema.get(key), dict)}
    printed = {key: _as_printed(part) for key, part in schema.items() if key not in unsaid}
    stated = schema.get("properties")
    if isinstance(stated, dict) and schema.get("title") != RunGrader.__name__:  # what has a default is printed too
        required = {*schema.get("required", ()), *(name for name, part in stated.items() if "default" in part)}
        required -= _WHERE_THERE
        printed["required"] = [name for name in stated if name in required]
    properties = printed.get("properties")
    if isinstance(properties, dict) and "Latency" in str(properties.get("latency")):
        number = {"anyOf": [{"type": "number"}, {"type": "null"}]}
        printed["properties"] = {name: part for name, part in properties.items() if name != "latency"} | dict.fromkeys(
            TIMES.values(), number
        )
        if "latency" in printed.get("required", []):
            printed["required"] = [name for name in printed["required"] if name != "latency"] + [*TIMES.values()]
    return printed
