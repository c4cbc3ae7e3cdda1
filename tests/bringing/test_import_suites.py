"""What every import of a suite promises: all files or none, nothing overwritten, no key copied, ids that do not move."""

import json
from pathlib import Path

import pytest

from command_line import command_line
from evalh.interop.foreign.layout import flow, models_text
from evalh.interop.foreign.transfer import CaseIds, Fidelity, ProofSheet, Subject
from evalh.workspace.toml import parse_toml
from evalh.workspace.yaml import parse_yaml

KEY = "sk-proj-" + "a1B2" * 10
CONFIG = "description: Capitals\nprompts: ['Capital of {{country}}?']\nproviders: [echo]\ntests:\n- vars: {country: France}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "source" / "promptfooconfig.yaml"
    path.parent.mkdir()
    path.write_text(CONFIG)
    return path


def test_files_are_written_into_a_new_folder_and_pass_the_check(config: Path, tmp_path: Path) -> None:
    done = command_line()(tmp_path, "import", "promptfoo", str(config), "--into", str(tmp_path / "out"), "--json")

    assert done.code == 0, done.err
    assert set(done.document["written"]) == {
        "prompts/capitals/v1.prompt",
        "datasets/capitals.jsonl",
        "evals/capitals.yaml",
        "evals/imported/echo.py",
        "evalh.toml",
        "IMPORT.md",
    }
    assert all((tmp_path / "out" / name).is_file() for name in done.document["written"])
    assert (checked := command_line()(tmp_path / "out", "check")).code == 0, checked.out


def test_a_dry_run_says_the_same_and_writes_nothing(config: Path, tmp_path: Path) -> None:
    arguments = ("import", "promptfoo", str(config), "--into", str(tmp_path / "out"), "--json")
    dry = command_line()(tmp_path, *arguments, "--dry-run")

    assert not (tmp_path / "out").exists()
    assert dry.document | {"dry_run": False} == command_line()(tmp_path, *arguments).document


def test_a_file_that_is_there_stops_the_whole_import(config: Path, tmp_path: Path) -> None:
    there = tmp_path / "out/datasets/capitals.jsonl"
    there.parent.mkdir(parents=True)
    there.write_text("mine\n")

    done = command_line()(tmp_path, "import", "promptfoo", str(config), "--into", str(tmp_path / "out"))

    assert done.code == 2
    assert "would overwrite a file" in done.err
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["capitals.jsonl"]
    assert there.read_text() == "mine\n"


def test_a_workspace_keeps_its_evalh_toml_and_is_shown_the_models(config: Path, tmp_path: Path) -> None:
    (tmp_path / "evalh.toml").write_text('[models.echo]\nprovider = "scripted"\ntable = {}\n')
    before = (tmp_path / "evalh.toml").read_bytes()

    done = command_line()(tmp_path, "import", "promptfoo", str(config), "--json")

    assert done.code == 0, done.err
    assert (tmp_path / "evalh.toml").read_bytes() == before
    assert "[models.echo-2]" in done.document["tables"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"prompts: [a\n", "is not YAML"),
        (b"a: &a [1,1,1,1,1,1,1,1,1,1]\n" + b"".join(b"b%d: &b%d [%s]\n" % (n, n, b",".join([b"*b%d" % (n - 1) if n else b"*a"] * 10)) for n in range(9)), "aliases expand"),
        (b"a: &a\n  b: *a\n", "lies inside itself"),
        (b"\xff\xfep\0", "UTF-16"),
        (b"[" * 5000, "nest"),
        (b"a: !!python/object:os.system x\n", "tag"),
    ],
    ids=["broken", "billion laughs", "circle", "UTF-16", "deep", "tag"],
)  # fmt: skip
def test_a_hostile_config_is_refused_with_its_place(config: Path, tmp_path: Path, content: bytes, message: str) -> None:
    config.write_bytes(content)

    done = command_line()(tmp_path, "import", "promptfoo", str(config), "--into", str(tmp_path / "out"))

    assert done.code == 2
    assert message in done.err
    assert "promptfooconfig.yaml" in done.err
    assert not (tmp_path / "out").exists()


def test_an_id_comes_from_the_row_and_not_from_its_place() -> None:
    ids = CaseIds(ProofSheet())
    rows = [{"inputs": {"q": f"Where is order {number}, please?"}} for number in range(5)]

    forward = [ids.of(row, "f:1") for row in rows]

    again = CaseIds(ProofSheet())
    assert [again.of(row, "f:1") for row in [{"inputs": {"q": "new"}}, *reversed(rows)]][1:] == forward[::-1]
    assert all(name.startswith("where-is-order-") for name in forward)


def test_equal_descriptions_get_numbers_and_are_told() -> None:
    sheet = ProofSheet()
    ids = CaseIds(sheet)

    found = [ids.of({"inputs": {}}, "f:1", about="Größe & Farbe") for _ in range(3)]

    assert found == ["groe-farbe", "groe-farbe-2", "groe-farbe-3"]
    assert [item.status for item in sheet.items()] == [Fidelity.NOTE]


def test_equal_items_are_one_with_their_places() -> None:
    sheet = ProofSheet()
    for number in range(100):
        sheet.add(Fidelity.NOT, f"f:{number}", "assert bleu", "there is none", subject=Subject.GRADER)

    (item,) = sheet.items()
    assert (item.count, len(item.where)) == (100, 20)
    assert sheet.count(Subject.GRADER) == {"same": 0, "near": 0, "not": 100}


@pytest.mark.parametrize(
    "value",
    ["yes", "null", "1", "a: b", "- x", "#", "", " a ", "é\u2028\u0085\u200b\ufeff\x7f\t\n", "{{x}}", "'", '"', "😀", "a b", "@x", "%"],
)  # fmt: skip
def test_what_is_written_is_read_back(value: str) -> None:
    nested = {"k": [value, {value: value}, None, True, 1.5, -3], "no": value}

    assert parse_yaml(f"a: {flow(nested)}\n", "f").value == {"a": nested}
    table = {"params": {value or "k": [value, True, 2]}, "x": value}
    assert parse_toml(models_text({"m": table}), "f").value["models"]["m"] == table


def test_merges_are_read_for_other_programs_only() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 4}]}\n7: seven\n"

    assert parse_yaml(text, "f", foreign=True).value == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2, "z": 4},
        "7": "seven",
    }
    assert "<<" in parse_yaml(text.replace("7:", "n:"), "f").value["b"]


def test_a_key_in_a_prompt_file_is_nowhere_in_what_is_written(config: Path, tmp_path: Path) -> None:
    (config.parent / "p.txt").write_text(f"Authorization: Bearer {KEY[8:]}\nUse {KEY} for {{{{country}}}}\n")
    config.write_text(CONFIG.replace("'Capital of {{country}}?'", "file://p.txt") + f"env: {{OPENAI_API_KEY: {KEY}}}\n")

    done = command_line()(tmp_path, "import", "promptfoo", str(config), "--into", str(tmp_path / "out"), "--json")

    everything = "".join(path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert KEY not in everything + json.dumps(done.document)
    assert KEY[8:] not in everything + json.dumps(done.document)
    assert "a literal key" in [item["what"] for item in done.document["items"]]
