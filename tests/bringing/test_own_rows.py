"""What people bring as rows: `evalh init --from` and `evalh import rows` guess the same, and write the same files."""

import json
from pathlib import Path
from typing import Any

import pytest

from bringing.importing import Import
from command_line import command_line
from evalh.workspace.yaml import parse_yaml
from faults.running import here
from workspaces import document, evalh


def files(folder: Path) -> dict[str, bytes]:
    """Read what is in a folder, by relative name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lines(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


QA = [{"Question": f"What is {n} + {n}?", "Answer": str(2 * n), "notes": "x"} for n in range(30)]
TICKETS = [{"id": f"t{n}", "ticket": f"text {n}", "label": ["bug", "billing"][n % 2]} for n in range(12)]
NESTED = [{"inputs": {"a": "x", "b": n}, "expected": {"city": "Rome", "n": n}, "source": "web"} for n in range(5)]


@pytest.mark.parametrize(
    ("rows", "mapping"),
    [(QA, []), (QA, ["q=Question,expected=Answer"]), (TICKETS, []), (TICKETS, ["output=label"]), (NESTED, [])],
)
def test_both_commands_write_the_same_files_and_say_the_same(
    tmp_path: Path, rows: list[dict[str, Any]], mapping: list[str]
) -> None:
    lines(tmp_path, "my data.jsonl", rows)
    words = [word for pair in mapping for word in ("--map", pair)]

    begun = command_line()(tmp_path, "init", "new", "--from", "my data.jsonl", *words, cwd=str(tmp_path))
    brought = command_line()(
        tmp_path, "import", "rows", f"{tmp_path}/my data.jsonl", "--into", f"{tmp_path}/other", *words
    )

    assert (begun.code, brought.code) == (0, 0), begun.err + brought.err
    assert begun.out == brought.out
    assert files(tmp_path / "new") == files(tmp_path / "other")
    assert command_line()(tmp_path / "new", "check").code == 0


def test_77_labels_are_an_output_schema(real_data: Path, tmp_path: Path) -> None:
    made = Import(tmp_path, "rows", real_data / "banking77/test-sample.jsonl.gz", "--name", "intents")

    assert made.done.code == 0
    assert made.suite()["graders"] == ["schema", {"equals": {"path": "label"}}]
    assert any(
        one.startswith("evals/intents.yaml: 77 different values in 770 rows are labels") for one in made.items("note")
    )
    assert "card_arrival, card_delivery_estimate, card_linking" in made.prompt()
    assert made.check().code == 0, made.check().out
    assert {row["expected"] for row in made.rows()} >= {"card_arrival", "age_limit"}


def test_a_labels_answer_is_good_where_it_names_the_label(real_data: Path, tmp_path: Path) -> None:
    made = Import(tmp_path, "rows", real_data / "banking77/test-sample.jsonl.gz", "--name", "intents")
    table = {row["id"]: json.dumps({"label": row["expected"]}) for row in made.rows()[:20]}
    table |= {row["id"]: '{"label": "age_limit"}' for row in made.rows()[20:30]}
    right = 20 + sum(row["expected"] == "age_limit" for row in made.rows()[20:30])
    with (made.folder / "evalh.toml").open("a") as file:
        told = ", ".join(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in table.items())
        file.write(f'\n[models.fake]\nprovider = "scripted"\ntable = {{{told}}}\n')

    assert made.run("intents", "-m", "fake", "--limit", "30")["good"] == right


@pytest.mark.parametrize("form", ["plain", "solution"])
def test_numeric_gold_is_graded_by_number(real_data: Path, tmp_path: Path, form: str) -> None:
    cases = Import(tmp_path, "rows", real_data / "gsm8k/cases.jsonl.gz").rows()
    rows = [
        {
            **row["inputs"],
            "answer": row["expected"] if form == "plain" else f"We count 3.\nSo 4.\n#### {row['expected']}",
        }
        for row in cases
    ]
    (tmp_path / "two").mkdir()
    made = Import(tmp_path / "two", "rows", lines(tmp_path, "math.jsonl", rows))

    assert made.suite()["graders"] == ["number" if form == "plain" else {"number": {"expected_after": "####"}}]
    assert any("all 1,319 expected values are numbers" in one for one in made.items("note"))
    assert made.check().code == 0


@pytest.fixture
def answered(real_data: Path, tmp_path: Path) -> Path:
    """Write GSM8K with what two real models answered, as two columns."""
    cases = Import(tmp_path, "rows", real_data / "gsm8k/cases.jsonl.gz").rows()
    columns = {}
    for name in ("finetuning", "verification"):
        (tmp_path / name).mkdir()
        source = real_data / f"gsm8k/outputs-6b_{name}.jsonl.gz"
        rows = Import(tmp_path / name, "rows", source, "--map", "text=output").rows()
        columns[name] = {row["id"]: row["inputs"]["text"] for row in rows}
    rows = [
        {
            "id": row["id"],
            **row["inputs"],
            "answer": row["expected"],
            "6B finetuning": columns["finetuning"][row["id"]],
            "verified": columns["verification"][row["id"]],
        }
        for row in cases
    ]
    return lines(tmp_path, "math.jsonl", rows)


def test_recorded_outputs_of_two_models_are_graded_compared_and_reported(answered: Path, tmp_path: Path) -> None:
    mapping = ("--map", "output=6B finetuning", "--map", "output.six=verified")
    begun = evalh(tmp_path, "init", "math", "--from", str(answered), *mapping)
    folder = tmp_path / "math"

    assert begun.returncode == 0, begun.stderr
    assert "evalh run -m 6b-finetuning -m six, then evalh compare v1@6b-finetuning v1@six" in begun.stderr
    ran = document(evalh(folder, "run", "-m", "6b-finetuning", "-m", "six", "--json"))["results"]
    assert [(one["model"], one["good"], one["samples"], one["ungraded"]) for one in ran] == [
        ("6b-finetuning", 286, 1319, 0),
        ("six", 515, 1319, 0),
    ]
    compared = document(evalh(folder, "compare", "v1@6b-finetuning", "v1@six", "--json"))
    assert compared["verdict"] == "better"
    assert compared["wins"] - compared["losses"] == 515 - 286
    report = evalh(folder, "report", "last", "--format", "markdown", "--output", str(folder / "r.md"))
    assert report.returncode == 0, report.stderr
    assert "six" in (folder / "r.md").read_text("utf-8")
    assert (folder / "evals/math.yaml").read_text().endswith('model: "6b-finetuning"\n')


def test_in_a_workspace_the_tables_of_recordings_are_printed_and_names_are_free(tmp_path: Path) -> None:
    (tmp_path / "evalh.toml").write_text('[models.gpt4]\nprovider = "scripted"\ntable = {a = "b"}\n')
    rows = [{"q": f"q{n}", "answer": "yes", "gpt4": "yes" if n else None} for n in range(4)]
    source = lines(tmp_path, "q.jsonl", rows)
    done = command_line()(tmp_path, "import", "rows", str(source), "--map", "output=gpt4", "--json")

    assert done.code == 0
    assert '[models.gpt4-2]\nprovider = "replay"\npath = "recorded/q-gpt4-2.jsonl"' in done.document["tables"]
    with (tmp_path / "evalh.toml").open("a") as file:
        file.write("\n" + done.document["tables"])
    ran = here(tmp_path, "run", "q", "--json")
    (result,) = json.loads(ran.out)["results"]
    assert (result["good"], result["ungraded"]) == (3, 1)
    assert any("3 recorded outputs; 1 row has none, and is ungraded" in one["why"] for one in done.document["items"])


SMALL = '[models.small]\nprovider = "scripted"\ntable = {a = "b"}\n'
OTHER = SMALL.replace("small", "other")
KEPT = '[models.kept]\nprovider = "replay"\npath = "recorded/kept.jsonl"\n'
DEFAULT = '[workspace]\ndefault_suite = "old"\n'
OLD = "prompt: old\ndataset: old\ngraders: [schema]\n"


@pytest.mark.parametrize(
    ("config", "suite", "model"),
    [
        (SMALL, "", "small"),
        (SMALL + KEPT, OLD + "model: kept\n", "small"),
        (SMALL + OTHER, OLD + "model: other\n", "other"),
        (DEFAULT + SMALL + OTHER, OLD + "model: small\n", "small"),
        (SMALL + OTHER, "", None),
        (KEPT, "", None),
    ],
)
def test_rows_in_a_workspace_are_answered_by_its_usual_model(
    tmp_path: Path, config: str, suite: str, model: str | None
) -> None:
    (tmp_path / "evalh.toml").write_text(config)
    (tmp_path / "evals").mkdir()
    if suite:
        (tmp_path / "evals/old.yaml").write_text(suite)
    source = lines(tmp_path, "q.jsonl", [{"q": f"q{n}", "answer": "yes"} for n in range(4)])

    done = command_line()(tmp_path, "import", "rows", str(source), "--json")

    assert done.code == 0
    assert parse_yaml((tmp_path / "evals/q.yaml").read_text(), "q.yaml").value.get("model") == model
    told = [one["do"] for one in done.document["items"] if one["what"] == "model"]
    assert told == ([] if model else ["evalh run q --model MODEL"])
    assert (here(tmp_path, "run", "q", "--dry-run").exit == 0) is (model is not None)


@pytest.mark.parametrize("begin", [b"", b"sep=,\n"])
def test_a_row_of_several_lines_is_named_by_the_line_where_it_begins(tmp_path: Path, begin: bytes) -> None:
    (tmp_path / "q.csv").write_bytes(begin + b'question,"the\nanswer"\n"a\nb\nc",1\n\n"d\ne",2,3\nf,4\n')

    source, into = str(tmp_path / "q.csv"), str(tmp_path / "made")
    told = here(tmp_path, "import", "rows", source, "--map", "question=question", "--into", into)

    first = 3 + begin.count(b"\n")
    assert f"note q.csv:{first}: " in told.out
    assert f"not q.csv:{first + 4}: " in told.out


OUTPUTS = [
    ([{"q": "a", "answer": "yes", "output": "yes"}] * 2, [{"equals": {"trim": True, "ignore_case": True}}], 2),
    ([{"q": "a", "answer": "Rome", "output": "It is the city of rome."}] * 2, [{"contains": {"expected": "$", "ignore_case": True}}], 2),
    ([{"q": "a", "expected": {"n": 1}, "output": {"n": 1, "m": 2}}] * 2, ["json_subset"], 2),
    ([{"q": "a", "expected": ["b", "c"], "output": "C"}] * 2, [{"one_of": {"trim": True, "ignore_case": True}}], 2),
    ([{"q": "a", "label": n % 2 == 0, "output": "true"} for n in range(4)], [{"equals": {"trim": True, "ignore_case": True}}], 2),
    ([{"q": "a", "label": n % 2, "output": "1"} for n in range(10)], ["number"], 5),
    ([{"q": "a", "label": "AB"[n % 2], "output": "a"} for n in range(10)], [{"equals": {"trim": True, "ignore_case": True}}], 5),
    ([{"q": "a", "output": "anything"}, {"q": "b", "output": ""}], [{"length": {"min_chars": 1}}], 1),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "graders", "good"), OUTPUTS, ids=[json.dumps(one[1])[:40] for one in OUTPUTS])
def test_a_column_of_outputs_is_graded_as_the_text_that_it_is(
    tmp_path: Path, rows: list[dict[str, Any]], graders: list[Any], good: int
) -> None:
    made = Import(tmp_path, "rows", lines(tmp_path, "q.jsonl", rows), "--map", "output=output,q=q")

    assert made.suite()["graders"] == graders
    assert made.check().code == 0, made.check().out + made.check().err
    result = made.run("q")
    assert (result["model"], result["good"], result["ungraded"]) == ("output", good, 0)


def test_an_output_beside_the_gold_is_taken_for_one_and_said(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("question,answer,output\n2+2?,4,4\n3+3?,6,seven\n4+4?,8,\n")
    done = command_line()(tmp_path, "import", "rows", str(tmp_path / "q.csv"))

    assert "column output: output, guessed by its name" in done.out
    assert "column answer: expected, guessed by its name" in done.out
    assert "to change what a column is: --map NAME=COLUMN" in done.out
    result = json.loads(here(tmp_path, "run", "q", "--json").out)["results"][0]
    assert (result["good"], result["bad"], result["ungraded"]) == (1, 1, 1)


def test_the_runs_of_agent_teams_have_their_truth_as_gold(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "whowhen/algorithm-generated.jsonl.gz"
    made = Import(tmp_path, "rows", source, "--map", "question=question,output=mistake_agent")

    roles = {one["column"]: one["role"] for one in made.document["columns"]}
    assert roles == {
        "id": "id",
        "question": "input",
        "ground_truth": "expected",
        "mistake_agent": "output",
        **dict.fromkeys(("steps", "mistake_step", "mistake_reason"), "skip"),
    }
    assert made.check().code == 0
    assert made.run("algorithm-generated")["samples"] == 126


GOLDS = [
    (["42", "1,234", "72.0", "-3", "$5", "50 %", "1/2"], "number"),
    (["42", "1,234", "none"], "equals"),
    (["0042", "0017", "0003"], "equals"),  # codes: a zero in front counts
    (["2024-05-01", "2024-05-02"], "equals"),
    (["v2", "v3", "B2B"], "equals"),
    ([42, 7.5, "3"], "number"),
    (["So 3.\n#### 72", "#### 1,000", "x\n#### 3.5"], "number"),
    (["So 3.\n#### 72", "So 4.\nAnswer: 5"], "equals"),
    ([True, False, True], "schema"),
    ([True, True], "schema"),
    ([1, 2, 3] * 10, "schema"),
    ([str(n % 5) for n in range(40)], "schema"),
    ([str(n % 13) for n in range(130)], "number"),
    (["a", "b"] * 2, "schema"),
    (["a", "b", "c"], "equals"),
    ([f"label {n % 77}" for n in range(770)], "schema"),
    ([f"label {n % 77}" for n in range(154)], "equals"),
    ([f"name {n % 300}" for n in range(3000)], "equals"),
    ([["a", "b"], ["c"]], "one_of"),
    ([["a", "b"], "c"], "equals"),
    ([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], "schema"),
    ([{"a": 1}, {"b": "y"}], "schema"),
    ([{"a b": 1}, {"a b": 2}], "json_subset"),
    (["a text\nof several\nlines " * 5, "another " * 20], "similarity"),
    (["x", "", None, "  "], "equals"),
    (["", None], "length"),
]  # fmt: skip


@pytest.mark.parametrize(("golds", "grader"), GOLDS, ids=[f"{json.dumps(one[0])[:30]} {one[1]}" for one in GOLDS])
def test_all_rows_decide_who_grades(tmp_path: Path, golds: list[Any], grader: str) -> None:
    """Also read from the last row to the first."""
    found = []
    for name, order in (("up", golds), ("down", golds[::-1])):
        (tmp_path / name).mkdir()
        rows = [{"text": f"text {at}", "expected": gold} for at, gold in enumerate(order)]
        made = Import(tmp_path / name, "rows", lines(tmp_path / name, "q.jsonl", rows))
        assert made.check().code == 0, made.check().out + made.check().err
        found.append((made.suite()["graders"], made.prompt()))

    assert found[0] == found[1]
    first = found[0][0][0]
    assert (first if isinstance(first, str) else next(iter(first))) == grader


def test_rows_that_say_nothing_are_counted(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("text,label\na,x\nb,\nc,x\n\nd,y\n")
    made = Import(tmp_path, "rows", tmp_path / "q.csv")

    assert "expected: 1 of 4 rows expect nothing: no grader judges them, and they are ungraded" in made.items("note")
    assert ["expected" in row for row in made.rows()] == [True, False, True, True]


HOSTILE = (
    "{{role}}", "../../etc", "=cmd|' /C calc'!A0", "\x1b[31mred", "a,b", "x=y", "{% raw %}", "$(reboot)", "`ls`",
    "日本語", "Größe (cm)", "größe cm", "UPPER", "dotted.name", "__proto__", "a" * 500, "'; drop table", "\u202egnp",
    "<script>", "  padded  ", "if", "role", "messages", "inputs", "vars", "label: x", "---", "\n", "#",
)  # fmt: skip


@pytest.mark.parametrize("command", ["init", "import"])
def test_hostile_names_of_columns_stay_names(tmp_path: Path, command: str) -> None:
    rows = [{**dict.fromkeys(HOSTILE, "{{x}} \x1b[2J"), "label": label} for label in ("{{a}}", "b", "{{a}}", "b")]
    source = lines(tmp_path, "q.jsonl", rows)
    arguments = (
        ["init", "out", "--from", str(source)]
        if command == "init"
        else ["import", "rows", str(source), "--into", f"{tmp_path}/out"]
    )
    done = command_line()(tmp_path, *arguments)

    assert done.code == 0, done.err
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "q.jsonl"]
    checked = command_line()(tmp_path / "out", "check")
    assert checked.code == 0, checked.out + checked.err
    row = json.loads((tmp_path / "out/datasets/q.jsonl").read_text("utf-8").splitlines()[0])
    assert set(row["inputs"].values()) == {"{{x}} \x1b[2J"}
    assert len(row["inputs"]) == len(HOSTILE)
    shown = command_line()(tmp_path / "out", "render", row["id"], "--prompt", "v1")
    assert shown.code == 0, shown.err


@pytest.mark.parametrize("name", [one for one in HOSTILE if one.strip() and one != "x=y"])
def test_a_hostile_name_can_be_mapped_and_be_a_model(tmp_path: Path, name: str) -> None:
    rows = [{"q": "a", "gold": "b", name: "b"}]
    made = Import(tmp_path, "rows", lines(tmp_path, "q.jsonl", rows), "--map", f"output={name}")

    assert made.done.code == 0, made.told
    assert all(path.is_relative_to(made.folder / "recorded") for path in made.folder.rglob("q-*.jsonl"))
    assert made.run("q")["good"] == 1


@pytest.mark.parametrize(
    "content",
    [
        b'\xef\xbb\xbfquestion;answer\r\n"a; b";x\r\nc;y\r\n',
        b'sep=;\r\nquestion;answer\r\n"a; b";x\r\nc;y\r\n',
        b",question,answer\n0,a; b,x\n1,c,y\n",
        b"question,answer,,\na; b,x\nc,y,,\n",
        b"question\tanswer\na; b\tx\nc\ty",
    ],
    ids=["BOM, CRLF, semicolons", "sep=", "an index without a name", "empty columns at the end", "tabs"],
)  # fmt: skip
def test_spreadsheets_are_read_as_they_are_written(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "q.csv").write_bytes(content)
    made = Import(tmp_path, "rows", tmp_path / "q.csv")

    assert made.done.code == 0, made.told
    assert [(row["inputs"], row["expected"]) for row in made.rows()] == [
        ({"question": "a; b"}, "x"),
        ({"question": "c"}, "y"),
    ]


def test_ids_that_stand_several_times_are_numbered_and_told_once(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "smallmodels/gsm8k-draws.jsonl.gz"
    made = Import(tmp_path, "rows", source, "--map", "draw=draw,expected=is_correct")

    assert len({row["id"] for row in made.rows()}) == len(made.rows()) == 400
    told = [one for one in made.document["items"] if one["what"] == "ids"]
    assert [(one["count"], one["do"]) for one in told] == [
        (300, "give each case an id of its own; if such rows are alike: --map cluster=COLUMN")
    ]


def test_too_many_columns_for_a_prompt_are_refused_and_can_be_chosen_from(tmp_path: Path) -> None:
    source = lines(tmp_path, "q.jsonl", [{f"c{n}": n for n in range(3000)}])

    refused = Import(tmp_path, "rows", source)
    chosen = Import(tmp_path, "rows", source, "--map", "a=c7,b=c2999")

    assert refused.done.code == 2
    assert "has 3,000 columns that would be inputs" in refused.told
    assert chosen.rows()[0]["inputs"] == {"a": 7, "b": 2999}


def test_a_dataset_of_ours_comes_back_as_it_was(tmp_path: Path) -> None:
    text = 'id,inputs.ticket,expected.label,expected.urgency,tags\na,Hi,bug,2,"x y"\nb,Ho,login,1,\n'
    (tmp_path / "t.csv").write_text(text)
    made = Import(tmp_path, "rows", tmp_path / "t.csv")

    assert made.rows()[0] == {
        "id": "a",
        "inputs": {"ticket": "Hi"},
        "expected": {"label": "bug", "urgency": "2"},
        "tags": ["x y"],
    }
    again = Import(tmp_path / "out", "rows", tmp_path / "out/datasets/t.jsonl")
    assert again.rows() == made.rows()
