"""`evalh import rows`: any file of rows becomes a dataset, by the columns that --map names."""

import csv
import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from bringing.importing import Import
from command_line import command_line

ROWS = [
    {"Question": "2+2?", "Answer": "4", "Topic": "sums"},
    {"Question": "Capital; of “France”?", "Answer": "Paris", "Topic": "geo"},
]
CONFIG = "config: {temperature: 0, max_tokens: 256}\n"
MAP = ("--map", "question=Question,expected=Answer,tags=Topic")


def written(folder: Path, name: str, rows: list[dict[str, object]] = ROWS) -> Path:
    """Write rows in the form that the file's name says."""
    path = folder / name
    if ".json" in name and "jsonl" not in name:
        path.write_text(json.dumps(rows), "utf-8")
    elif "jsonl" in name:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    elif name.endswith(".arrow"):
        pyarrow = pytest.importorskip("pyarrow")
        table = pyarrow.Table.from_pylist(rows)
        write = pyarrow.ipc.new_stream if "stream" in name else pyarrow.ipc.new_file
        with write(str(path), table.schema) as writer:
            writer.write_table(table)
    elif name.endswith(".parquet"):
        table = pytest.importorskip("pyarrow").Table.from_pylist(rows)
        pytest.importorskip("pyarrow.parquet").write_table(table, path)
    else:
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            separator = {"tsv": "\t", "csv": ","}.get(name.rpartition(".")[2], ",") if "semi" not in name else ";"
            writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize(
    "name", ["q.jsonl", "q.jsonl.gz", "q.json", "q.csv", "semi.csv", "q.tsv", "q.parquet", "stream.arrow", "q.arrow"]
)
def test_every_form_gives_the_same_rows_with_the_same_ids(tmp_path: Path, name: str) -> None:
    made = Import(tmp_path, "rows", written(tmp_path, name), *MAP)

    assert made.done.code == 0, made.done.err
    assert made.rows() == [
        {"id": "2-2-93144d", "inputs": {"question": "2+2?"}, "expected": "4", "tags": ["sums"]},
        {"id": "capital-of-france-161f82", "inputs": {"question": "Capital; of “France”?"}, "expected": "Paris", "tags": ["geo"]},
    ]  # fmt: skip
    asked = '{{role "system"}}\nAnswer in a few words.\n{{role "user"}}\n{{question}}\n'
    assert made.prompt() == f"---\n{CONFIG}input: {{schema: {{question: string}}}}\n---\n{asked}"
    assert made.suite()["graders"] == [{"equals": {"trim": True, "ignore_case": True}}]
    assert made.check().code == 0, made.check().out


def test_a_folder_of_files_is_one_dataset(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    written(tmp_path / "shards", "b.jsonl", ROWS[:1])
    written(tmp_path / "shards", "a.jsonl", ROWS[1:])
    (tmp_path / "shards/dataset_info.json").write_text('{"about": "the rows"}')

    made = Import(tmp_path, "rows", tmp_path / "shards", *MAP)

    assert [row["expected"] for row in made.rows("shards")] == ["Paris", "4"]


def test_without_a_map_columns_mean_what_they_are_called(tmp_path: Path) -> None:
    rows = [{"id": 7, "text": "a", "n": 1.5, "expected": {"label": "x"}, "tags": ["p", "q"], "cluster": "c"}]
    made = Import(tmp_path, "rows", written(tmp_path, "q.jsonl", rows))

    assert made.rows() == [
        {"id": "7", "inputs": {"text": "a", "n": 1.5}, "expected": {"label": "x"}, "tags": ["p", "q"], "cluster": "c"}
    ]
    assert made.suite()["graders"] == ["schema", {"equals": {"path": "label", "expected": "label"}}]
    assert '"n": number' in made.prompt()
    assert made.check().code == 0


def test_what_is_expected_is_never_an_input_too(tmp_path: Path) -> None:
    """A column is taken by a path into it: otherwise the gold would be in the prompt."""
    rows = [{"q": "a", "answers": {"text": ["x", "y"], "start": [1]}}]
    made = Import(tmp_path, "rows", written(tmp_path, "q.jsonl", rows), "--map", "expected=answers.text[0]")

    assert made.rows()[0]["inputs"] == {"q": "a"}
    assert made.rows()[0]["expected"] == "x"


def test_a_map_reaches_into_expected_and_columns_that_it_leaves_out_are_told(tmp_path: Path) -> None:
    rows = [{"q": "a", "label": "bug", "due": "today", "other": 1}]
    mapping = ("--map", "inputs.question=q", "--map", "expected.label=label,expected.more.due=due")
    made = Import(tmp_path, "rows", written(tmp_path, "q.jsonl", rows), *mapping)

    assert made.rows()[0]["expected"] == {"label": "bug", "more": {"due": "today"}}
    assert made.document["columns"][-1] == {"column": "other", "role": "skip", "name": "", "guessed": False}
    assert "| `other` | `skip` |" in (made.folder / "IMPORT.md").read_text("utf-8")


def test_what_the_map_does_not_name_is_guessed_and_said(tmp_path: Path) -> None:
    made = Import(tmp_path, "rows", written(tmp_path, "q.jsonl", [{"id": "a-1", "q": "a"}]), "--map", "question=q")

    assert made.rows() == [{"id": "a-1", "inputs": {"question": "a"}}]
    assert made.document["columns"][0] == {"column": "id", "role": "id", "name": "", "guessed": True}
    assert made.items("note")[0].startswith("expected: no column is named as the right answer, such as")


def test_a_column_with_few_values_is_named_as_the_likely_answer_but_not_taken(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"text": f"package number {place}", "size": str(place), "the section": ["mail", "web", "net"][place % 3]}
        for place in range(60)
    ]
    made = Import(tmp_path, "rows", written(tmp_path, "q.csv", rows))

    assert made.items("note")[0] == (
        "expected: no column is named as the right answer; the section has 3 different values:"
        " if it is, add --map 'expected=the section'"
    )
    assert "expected" not in made.rows()[0]


def test_the_first_prompt_is_a_draft_too_unless_its_outputs_are_recorded(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"question": "2+2?", "section": "sums", "gpt": "4"}]
    asked = Import(tmp_path / "asked", "rows", written(tmp_path, "q.csv", rows), "--map", "expected=section")
    recorded = Import(
        tmp_path / "recorded", "rows", written(tmp_path, "r.csv", rows), "--map", "expected=section,output=gpt"
    )

    folder = next((tmp_path / "asked").rglob("draft.prompt")).parent
    assert (folder / "draft.prompt").read_bytes() == (folder / "v1.prompt").read_bytes()
    assert any("draft.prompt: this prompt is a start" in one for one in asked.items("note"))
    assert not [*(tmp_path / "recorded").rglob("draft.prompt")]
    assert any("v1.prompt: this prompt is a start" in one for one in recorded.items("note"))


def test_a_column_can_be_left_out(tmp_path: Path) -> None:
    rows = [{"id": "7", "q": "a", "label": "x"}]
    made = Import(tmp_path, "rows", written(tmp_path, "q.jsonl", rows), "--map", "skip=id,skip=label")

    assert made.rows()[0]["inputs"] == {"q": "a"}
    assert made.rows()[0]["id"].startswith("a-")
    assert "expected" not in made.rows()[0]


@pytest.mark.parametrize(
    "record",
    [
        {"id": "a", "request": {"messages": []}, "response": {"choices": []}},
        {"id": "a", "question": "q", "steps": [], "mistake_step": 1},
    ],
)
def test_auto_names_the_command_for_recorded_calls_and_makes_no_dataset_of_them(
    tmp_path: Path, record: dict[str, object]
) -> None:
    made = Import(tmp_path, "auto", written(tmp_path, "q.jsonl", [record]))

    assert made.done.code == 2
    assert "holds recorded calls or workflows" in made.told
    assert "evalh import calls " in made.told
    assert made.rows() == []


def test_parquet_gives_days_exact_decimals_and_nothing_for_nan(tmp_path: Path) -> None:
    rows = [
        {
            "text": "a",
            "at": datetime(2026, 1, 2, tzinfo=UTC),
            "d": Decimal("1.50"),
            "x": float("nan"),
            "image": b"\x89PNG",
        }
    ]
    made = Import(tmp_path, "rows", written(tmp_path, "q.parquet", rows))

    assert made.rows()[0]["inputs"] == {"text": "a", "at": "2026-01-02T00:00:00+00:00", "d": "1.50", "x": ""}
    assert made.done.code == 1
    assert made.items("not") == ["column image: holds bytes, which are not text"]


def test_an_inserted_row_moves_no_other_id(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    before = Import(tmp_path / "one", "rows", written(tmp_path / "one", "q.jsonl"), *MAP).rows()
    longer = [{"Question": "New?", "Answer": "", "Topic": ""}, *ROWS]
    after = Import(tmp_path / "two", "rows", written(tmp_path / "two", "q.jsonl", longer), *MAP).rows()

    assert after[1:] == before
    assert "tags" not in after[0]


def test_data_alone_can_be_had(tmp_path: Path) -> None:
    made = Import(tmp_path, "rows", written(tmp_path, "q.csv"), *MAP, "--data-only", "--name", "faq")

    assert made.document["written"] == ["datasets/faq.jsonl", "IMPORT.md"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("q.jsonl", b"", "holds no rows"),
        ("q.jsonl", b"\xff\xfe{\0}\0", "UTF-16"),
        ("q.csv", b"", "has no header"),
        ("q.csv", b"a,a\n1,2\n", "has two columns called 'a'"),
        ("q.csv", "a,b\n1,caf\xe9\n".encode("latin-1"), "is not UTF-8"),
        ("q.json", b'{"a": [1', "is not JSON"),
        ("q.json", b"7", "holds no list of rows"),
        ("q.json", b"[" * 5000 + b"]" * 5000, "nested"),
        ("q.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 50, mtime=0)[:25], "cannot be unpacked"),
        ("q.parquet", b"PAR1 not really", "is not Parquet that can be read"),
        ("q.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "is a pointer"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_told_and_nothing_is_written(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    if "parquet" in name:
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)

    made = Import(tmp_path, "rows", tmp_path / name)

    assert made.done.code == 2
    assert told in made.told
    assert not made.folder.exists() or not list(made.folder.rglob("*.*"))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("q.jsonl", '{"a": 1}\nnot json\n[1]\n{"a": NaN}\n{"a": 2}\n', ["is not JSON", "must be an object"]),
        ("q.csv", "a,b\n1,2\n3\n4,5,6\n7,8,\n", ["does not have as many cells as the header"]),
        ("q.json", '[{"a": 1}, 7, {"a": 2}]', ["is not an object"]),
    ],
)
def test_a_row_that_cannot_be_read_is_told_and_the_others_are_kept(
    tmp_path: Path, name: str, content: str, told: list[str]
) -> None:
    (tmp_path / name).write_text(content)

    made = Import(tmp_path, "rows", tmp_path / name)

    assert made.done.code == 1
    assert len(made.rows()) == 2
    assert all(any(one in item for item in made.items("not")) for one in told)


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ("question", "--map cannot be read: 'question'"),
        ("=a", "--map cannot be read"),
        ("q=Nothing", "there is no column 'Nothing'"),
        ("q=Question,Topic", "there is no column 'Question,Topic'"),
        ("a b=Question", "cannot be the name of an input"),
        ("output=Answer,output=Answer", "--map names 'output' twice"),
        ("q=Questio", "did you mean 'Question'?\""),
        ("q=Question,q=Answer", "--map names 'q' twice"),
        *(
            (f"{wrong}=Answer", f"--map: '{wrong}' is close to {key}, a key of a row")
            for wrong, key in {
                "expcted": "expected",
                "exepcted": "expected",
                "Expected": "expected",
                "expect": "expected",
                "expcted.label": "expected.label",
                "expected_label": "expected.label",
                "outptu": "output",
                "outputs.gpt": "output.gpt",
                "tag": "tags",
                "tgas": "tags",
                "clusters": "cluster",
                "ID": "id",
                "skp": "skip",
                "inputs": "inputs.NAME",
                "input.q": "inputs.q",
            }.items()
        ),
        ("expected=Answer,expected.a=Topic", "--map names expected, and what is inside it"),
    ],
)
def test_a_map_that_cannot_be_meant_is_refused(tmp_path: Path, mapping: str, told: str) -> None:
    made = Import(tmp_path, "rows", written(tmp_path, "q.csv"), "--map", mapping)

    assert made.done.code == 2
    assert told in made.told


def test_a_near_miss_says_how_to_insist_and_is_then_an_input(tmp_path: Path) -> None:
    source = written(tmp_path, "q.csv")
    refused = Import(tmp_path, "rows", source, "--map", "Expected=Answer")
    begun = command_line()(tmp_path, "init", "new", "--from", str(source), "--map", "expcted=Answer")
    made = Import(tmp_path, "rows", source, "--map", "inputs.Expected=Answer,input=Topic")

    assert "--map expected=Answer; an input: --map inputs.Expected=Answer" in refused.told
    assert begun.code == 2
    assert "is close to expected" in begun.err
    assert not (tmp_path / "new").exists()
    assert made.done.code == 0
    assert set(made.rows()[0]["inputs"]) == {"Expected", "input"}


def test_ids_with_control_characters_and_twice_the_same_are_mended(tmp_path: Path) -> None:
    rows = [{"id": "a\x1b[31m", "q": "x"}, {"id": "b", "q": "y"}, {"id": "b", "q": "z"}]
    made = Import(tmp_path, "rows", written(tmp_path, "q.jsonl", rows))

    assert [row["id"] for row in made.rows()][1:] == ["b", "b-2"]
    assert made.rows()[0]["id"].isprintable()
    assert made.check().code == 0


def test_names_that_no_prompt_can_say_get_one_that_it_can(tmp_path: Path) -> None:
    rows = [
        {
            "text": '{{role "system"}}',
            "this": 1,
            "a b": 2,
            "items": [3],
            "messages": [{"role": "user", "content": "Hi"}],
        }
    ]
    made = Import(tmp_path, "rows", written(tmp_path, "q.jsonl", rows))

    lines = "text: {{text}}\nthis_text: {{this_text}}\na_b: {{a_b}}\nitems: {{items}}\n{{history}}\n"
    assert (
        made.prompt() == f'---\n{CONFIG}---\n{{{{role "system"}}}}\nAnswer the request.\n{{{{role "user"}}}}\n{lines}'
    )
    assert made.check().code == 0, made.check().out
