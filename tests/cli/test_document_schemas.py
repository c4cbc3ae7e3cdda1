"""Each document has a published JSON Schema, which accepts what is printed, and a place in the reference."""

import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from schemas import documents

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "schemas/documents"
GOLDEN = sorted((Path(__file__).parent / "golden/documents").glob("*.json"))
WRITE = os.environ.get("EVALH_GOLDEN") == "write"
DOCUMENTS = documents()
LOG_ROWS = {"case", "sample", "call", "calls", "unfinished"}  # their keys are those of docs/reference/log.md


def _name(document: dict[str, Any]) -> str:
    return str(document["schema"]).removeprefix("evalh.").removesuffix("/1")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_documents_published_schema_is_what_its_declaration_says(name: str) -> None:
    text = json.dumps(DOCUMENTS[name], indent=2) + "\n"
    path = PUBLISHED / f"{name}.schema.json"
    if WRITE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    assert path.read_text(encoding="utf-8") == text
    jsonschema_rs.Draft202012Validator(DOCUMENTS[name])  # raises for one that is not a schema


def test_no_schema_is_published_of_a_document_that_is_gone() -> None:
    assert {path.name.removesuffix(".schema.json") for path in PUBLISHED.iterdir()} == set(DOCUMENTS)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_recorded_document_is_accepted_and_one_without_a_key_is_refused(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    schema = DOCUMENTS[_name(document)]
    validator = jsonschema_rs.Draft202012Validator(schema)

    assert [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(document)] == []
    assert not validator.is_valid({**document, "schema": "evalh.other/1"})
    if "$ref" in schema:
        for key in schema["$defs"][schema["$ref"].rpartition("/")[2]]["required"]:
            assert not validator.is_valid({name: value for name, value in document.items() if name != key}), key


def test_the_reference_names_each_key_of_each_document() -> None:
    page = (ROOT / "docs/reference/documents.md").read_text(encoding="utf-8")
    words = set(re.findall(r"[a-z0-9_]+", page))

    missing = {
        f"{name}: {key}"
        for name, schema in DOCUMENTS.items()
        if name not in LOG_ROWS
        for part in schema["$defs"].values()
        for key in part.get("properties", {})
        if key not in words
    }
    assert missing == set()
    assert {name for name in DOCUMENTS if f"`evalh.{name}/1`" not in page} == set()
