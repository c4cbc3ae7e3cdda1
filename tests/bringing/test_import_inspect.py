"""`evalh import inspect` and `langfuse-dataset`: rows of two programs, and the answers of a log."""

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bringing.importing import Import

ZSTD = 93  # how Inspect packs the parts of a log


def sample(name: str | int, epoch: int, asked: Any, target: Any, said: str, **more: Any) -> dict[str, Any]:
    """Write one sample as a log of Inspect 0.3 holds it."""
    message = {"id": "m1", "content": said, "source": "generate", "role": "assistant", "model": "mockllm/model"}
    output = {
        "model": "mockllm/model",
        "choices": [{"message": message, "stop_reason": "stop"}],
        "completion": said,
        "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
        "time": 0.5,
    }
    score = {"match": {"value": "C" if said == target else "I", "answer": said}}
    sample = {"id": name, "epoch": epoch, "input": asked, "target": target, "messages": [], "output": output}
    return {**sample, "scores": score, "metadata": {"topic": "x", "n": 3, "deep": [1]}, "store": {}, **more}


SAMPLES = [
    sample("a", 1, "Say hello", "Hello", "Hello"),
    sample("a", 2, "Say hello", "Hello", "Hi"),
    sample(2, 1, [{"role": "system", "content": "Short."}, {"role": "user", "content": "2+2?"}], ["4", "four"], "four"),
    sample(2, 2, [{"role": "system", "content": "Short."}, {"role": "user", "content": "2+2?"}], ["4", "four"], "five"),
]
LOG = {
    "version": 2,
    "status": "success",
    "eval": {"task": "tasks/hello", "model": "mockllm/model"},
    "plan": {},
    "samples": SAMPLES,
}


def packed(folder: Path, samples: list[dict[str, Any]], *, zstd: bool) -> Path:
    """Write a log as `.eval`: a zip of a header and one part for each sample."""
    parts = {f"samples/{one['id']}_epoch_{one['epoch']}.json": one for one in samples}
    parts["header.json"] = {key: value for key, value in LOG.items() if key != "samples"}
    path = folder / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED if zstd else zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            data = json.dumps(part).encode()
            archive.writestr(
                name, pytest.importorskip("pyarrow").compress(data, "zstd", asbytes=True) if zstd else data
            )
    if zstd:  # the standard library cannot write this method: only its number in both headers is missing
        data = path.read_bytes()
        for begin, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
            pieces = data.split(begin)
            pieces[1:] = [one[: place - 4] + struct.pack("<H", ZSTD) + one[place - 2 :] for one in pieces[1:]]
            data = begin.join(pieces)
        path.write_bytes(data)
    return path


def as_json(folder: Path, samples: list[dict[str, Any]]) -> Path:
    path = folder / "log.json"
    path.write_text(json.dumps({**LOG, "samples": samples}))
    return path


@pytest.mark.parametrize("form", ["json", "eval", "zstd"])
def test_a_log_becomes_rows_and_a_recording_that_graders_judge(tmp_path: Path, form: str) -> None:
    source = as_json(tmp_path, SAMPLES) if form == "json" else packed(tmp_path, SAMPLES, zstd=form == "zstd")
    made = Import(tmp_path, "inspect", source)

    assert made.done.code == 0, made.told
    rows = {row["id"]: row for row in made.rows()}
    assert rows["a"] == {
        "id": "a",
        "inputs": {"messages": [{"role": "user", "content": "Say hello"}]},
        "expected": ["Hello"],
        "tags": ["topic:x", "n:3"],
    }
    assert rows["2"]["expected"] == ["4", "four"]
    assert "scores of match: I 3, C 1" in made.items("note")
    found = made.run()
    assert (found["samples"], found["good"], found["bad"], found["cost_usd"]) == (4, 2, 2, None)


def test_an_answer_that_was_never_given_is_not_recorded(tmp_path: Path) -> None:
    """A sample that failed has an output without choices: it is unknown, not empty."""
    failed = {**SAMPLES[0], "output": {"model": "m", "choices": [], "completion": ""}, "error": {"message": "no"}}
    made = Import(tmp_path, "inspect", as_json(tmp_path, [failed, SAMPLES[1]]))

    found = made.run()

    assert (found["samples"], found["ungraded"]) == (2, 1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.jsonl", '{"input": "Which?", "choices": ["red", "blue"], "target": "A", "id": 7, "metadata": {"lang": "en"}}\n'),
        ("d.json", '[{"input": "Which?", "choices": ["red", "blue"], "target": ["A"], "id": "7", "metadata": {"lang": "en"}}]'),
        ("d.csv", 'input,choices,target,id,metadata\nWhich?,"red, blue",A,7,"{""lang"": ""en""}"\n'),
    ],
)  # fmt: skip
def test_a_dataset_becomes_rows_with_lettered_choices(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    made = Import(tmp_path, "inspect", tmp_path / name)

    assert made.rows() == [
        {"id": "7", "inputs": {"input": "Which?", "choices": "A) red\nB) blue"}, "expected": "A", "tags": ["lang:en"]}
    ]
    assert made.check().code == 0, made.check().out


def test_what_needs_a_program_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"input": "x", "target": "", "sandbox": "docker", "setup": "rm -rf /"}\n')
    made = Import(tmp_path, "inspect", tmp_path / "d.jsonl")

    assert made.done.code == 1
    assert [item.partition(":")[0] for item in made.items("not")] == ["sandbox", "setup"]
    assert "expected" not in made.rows()[0]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("log.eval", b"not a zip", "is not a log that can be unpacked"),
        ("log.json", b'{"eval": {}, "status": "x"}', "holds no samples"),
        ("log.json", b'{"eval": {}, "status": "x", "samples": [7, {"input": null}]}', "holds no samples"),
        ("d.jsonl", b'{"question": "x"}\n', "is not a dataset of Inspect"),
    ],
)
def test_what_is_neither_is_told(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    made = Import(tmp_path, "inspect", tmp_path / name)

    assert made.done.code == 2
    assert told in made.told


@pytest.mark.parametrize(
    "broken",
    [
        {"id": None},
        {"output": 7},
        {"output": {"choices": [7], "completion": 7}},
        {"scores": 7, "metadata": 7},
        {"epoch": "x"},
    ],
)
def test_odd_parts_of_a_sample_end_nothing(tmp_path: Path, broken: dict[str, Any]) -> None:
    made = Import(tmp_path, "inspect", as_json(tmp_path, [{**SAMPLES[0], **broken}]))

    assert made.done.code == 0, made.told


# -- Langfuse

ITEMS = [
    {"id": "i-1", "datasetName": "d", "input": {"question": "Hi"}, "expectedOutput": {"a": 1}, "metadata": {"lang": "en", "x": [1]}, "sourceTraceId": "t1", "status": "ACTIVE"},
    {"id": "i-2", "input": {"question": "Old"}, "expectedOutput": "yes", "status": "ARCHIVED"},
    {"id": "i-3", "input": {"question": "Plain"}, "expectedOutput": None, "status": "ACTIVE"},
]  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
def test_items_of_langfuse_become_rows(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"items.{form}"
    if form == "csv":
        cells = [[one["id"], *(json.dumps(one.get(key)) if one.get(key) is not None else "" for key in ("input", "expectedOutput", "metadata")), one.get("sourceTraceId", ""), one["status"]] for one in ITEMS]  # fmt: skip
        quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells]
        path.write_text("\n".join(["id,input,expectedOutput,metadata,sourceTraceId,status", *quoted]) + "\n")
    else:
        path.write_text(json.dumps(ITEMS) if form == "json" else "".join(json.dumps(one) + "\n" for one in ITEMS))

    made = Import(tmp_path, "langfuse-dataset", path)

    assert made.rows() == [
        {
            "id": "i-1",
            "inputs": {"question": "Hi"},
            "expected": {"a": 1},
            "tags": ["lang:en"],
            "source": {"trace": "t1"},
        },
        {"id": "i-3", "inputs": {"question": "Plain"}},
    ]
    assert "an archived item: is not imported" in made.items("note")
    assert any(item.startswith("metadata x:") for item in made.items("note"))
    assert made.check().code == 0, made.check().out


@pytest.mark.parametrize(
    ("asked", "inputs"),
    [
        ("text", {"input": "text"}),
        ([1, 2], {"input": [1, 2]}),
        ([{"role": "user", "content": "a"}], {"messages": [{"role": "user", "content": "a"}]}),
        ({"messages": [{"role": "developer", "content": "a"}], "k": 1}, {"messages": [{"role": "system", "content": "a"}], "k": 1}),
        ([{"role": "odd", "content": "a"}], {"input": [{"role": "odd", "content": "a"}]}),
    ],
)  # fmt: skip
def test_an_input_may_be_anything(tmp_path: Path, asked: Any, inputs: Any) -> None:
    (tmp_path / "items.jsonl").write_text(json.dumps({"id": "i", "input": asked, "expectedOutput": "x"}) + "\n")

    assert Import(tmp_path, "langfuse-dataset", tmp_path / "items.jsonl").rows()[0]["inputs"] == inputs


# -- auto


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("q.jsonl", '{"question": "x"}\n', "rows"),
        ("q.csv", "input,answer\na,b\n", "rows"),
        ("q.jsonl", json.dumps(ITEMS[0]), "langfuse-dataset"),
        ("q.jsonl", '{"input": "a", "target": "b"}\n', "inspect"),
        ("q.json", json.dumps(LOG), "inspect"),
        ("q.jsonl", '{"item": {"a": 1}}\n', "openai-evals"),
        ("q.jsonl", '{"input": "a", "ideal": "b"}\n', "oaieval"),
        ("q.yaml", "messages: [{role: user, content: x}]\n", "github-prompt"),
        ("q.yaml", "prompts: [x]\nproviders: [echo]\ntests: [{vars: {a: b}}]\n", "promptfoo"),
    ],
)
def test_the_format_is_found_and_said(tmp_path: Path, name: str, content: str, form: str) -> None:
    (tmp_path / name).write_text(content)
    made = Import(tmp_path, "auto", tmp_path / name)

    assert made.done.code == 0, made.told
    assert made.document["format"] == form
    assert f"read as {form}: " in made.done.err


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("q.txt", "hello", "it is not clear what this is"),
        ("q.yaml", "a: 1\n", "it is not clear what this is"),
        ("q.csv", "question,__expected\na,b\n", "holds tests of promptfoo"),
        ("empty", None, "it is not clear what this is"),
        ("none.jsonl", None, "it is not clear what this is"),
    ],
)
def test_what_nothing_is_known_of_is_refused(tmp_path: Path, name: str, content: str | None, told: str) -> None:
    (tmp_path / name).mkdir() if content is None else (tmp_path / name).write_text(content)

    made = Import(tmp_path, "auto", tmp_path / name)

    assert made.done.code == 2
    assert told in made.told
