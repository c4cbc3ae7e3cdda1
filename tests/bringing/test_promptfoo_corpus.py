"""Configs in the shapes of 23 public ones and 12 examples: each is imported, each loss is told, the result is checked."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from command_line import Done, command_line

RECORDED = Path(__file__).parents[1] / "recorded/promptfoo"
CORPUS = sorted(path for path in (RECORDED / "corpus").iterdir() if path.is_dir())
GOLDEN = RECORDED / "items.json"
WRITE = os.environ.get("EVALH_GOLDEN") == "write"
KEYS = (
    "hf_AbCdEfGhIjKlMnOpQrStUvWx12345678",
    "Zx81kQ0pLmN4r7Tt",
    "9f8e7d6c5b4a39281706f5e4d3c2b1a0",
    "s3cr3t-t0ken-of-the-bot",
    "sk-proj-0123456789abcdefABCDEF0123456789",
    "guest-mode=true-for-all",
)


def bring(source: Path, into: Path, *more: str) -> Done:
    return command_line()(into.parent, "import", "promptfoo", str(source), "--into", str(into), "--json", *more)


def told(document: dict[str, Any]) -> list[str]:
    """Return what was said, a line for each item, without the places beyond the first."""
    return [
        f"{item['status']} {item['where'][0].rpartition('/')[2]} ×{item['count']} {item['what']}: {item['why']}"
        for item in document["items"]
        if item["status"] != "same"
    ] + [json.dumps(document["graders"])]


@pytest.mark.parametrize("code", ["", "--allow-code"], ids=["without code", "with code"])
@pytest.mark.parametrize("source", CORPUS, ids=lambda path: path.name)
def test_a_config_is_imported_and_passes_the_check(source: Path, code: str, tmp_path: Path) -> None:
    into = tmp_path / "out"

    done = bring(source, into, *[code] * bool(code))

    assert done.code in (0, 1), done.err
    assert done.code == any(item["status"] == "not" for item in done.document["items"])
    checked = command_line()(into, "check")
    assert checked.code == 0, checked.out + checked.err
    sheet = (into / "IMPORT.md").read_text()
    assert all(item["what"].split()[0] in sheet for item in done.document["items"])


def test_what_became_of_each_part_is_as_reviewed(tmp_path: Path) -> None:
    found = {source.name: told(bring(source, tmp_path / source.name, "--dry-run").document) for source in CORPUS}
    if WRITE:
        GOLDEN.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("source", CORPUS, ids=lambda path: path.name)
def test_no_literal_key_is_in_any_file_or_message(source: Path, tmp_path: Path) -> None:
    done = bring(source, tmp_path / "out", "--allow-code")

    written = "".join(path.read_text() for path in sorted((tmp_path / "out").rglob("*")) if path.is_file())
    assert [key for key in KEYS if key in written + done.out + done.err] == []


def test_the_corpus_holds_the_keys_that_are_looked_for() -> None:
    everything = "".join(path.read_text() for source in CORPUS for path in source.rglob("*") if path.is_file())

    assert all(key in everything for key in KEYS)
    assert len(CORPUS) == 36


def test_an_import_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        bring(RECORDED / "corpus/speech-analysis", tmp_path / name)

    one, two = (
        {p.name: p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()} for name in ("one", "two")
    )
    assert one == two
