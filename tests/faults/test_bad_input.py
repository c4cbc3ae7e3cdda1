"""Files that are wrong: what, where (file and line), what to type next, exit 2, and nothing asked of any model."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import CommandLine, Done
from workspaces import PROMPT, SUITE, write_workspace

Edit = Callable[[Path], None]
DATA, PROMPT_FILE, SUITE_FILE, CONFIG = (
    "datasets/triage.jsonl",
    "prompts/triage/v1.prompt",
    "evals/triage.yaml",
    "evalh.toml",
)
ROW = '{"id": "t-1", "inputs": {"ticket": "a"}, "expected": {"label": "billing"}}\n'
ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def content(path: str, text: str | bytes) -> Edit:
    return lambda folder: _write(folder / path, text if isinstance(text, bytes) else text.encode())


def change(path: str, old: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new))

    return edit


def grader(line: str) -> Edit:
    return change(SUITE_FILE, "  - schema\n", f"  - schema\n  - {line}\n")


def table(text: str) -> Edit:
    def edit(folder: Path) -> None:
        (folder / DATA).unlink()
        _write(folder / "datasets/triage.csv", text.encode())

    return edit


def link(path: str, target: str) -> Edit:
    def edit(folder: Path) -> None:
        (folder / path).unlink()
        (folder / path).symlink_to(target)

    return edit


def model(body: str) -> Edit:
    return lambda folder: _write(
        folder / CONFIG, f'[workspace]\ndefault_suite = "triage"\n[models.small]\n{body}'.encode()
    )


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def refused(done: Done, folder: Path) -> None:
    """Hold what every refusal has in common."""
    assert done.code == 2, done
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err
    assert "bug" not in done.err
    assert not ACTIVE.search(done.err)
    assert not (folder / ".evalh/evalh.db").exists()


TWO_ROWS = ROW + ROW.replace("t-1", "t-2")
WRONG: dict[str, tuple[Edit, str, str | None]] = {
    "a row without an id": (
        content(DATA, ROW + '{"inputs": {"ticket": "a"}}\n'),
        f"{DATA}:2: 'id' is missing",
        "each row",
    ),
    "an id twice": (
        content(DATA, ROW + ROW),
        f"{DATA}:2: duplicate id 't-1', first on line 1",
        "each row needs its own",
    ),
    "an empty id": (content(DATA, ROW.replace("t-1", " ")), f"{DATA}:1: 'id' must be text that is not empty\n", "own"),
    "a number as id": (content(DATA, ROW.replace('"t-1"', "7")), f"{DATA}:1: 'id' must be text", '"id": "7"'),
    "a line cut off": (content(DATA, ROW + '{"id": "t-2", \n'), f"{DATA}:2: is not JSON: Expecting property", None),
    "a column counted on its line": (content(DATA, ROW + '{"id" 2}\n'), "at column 7", None),
    "a key twice in a row": (
        content(DATA, ROW.replace("{", '{"id": "t-0", ', 1)),
        f"{DATA}:1: is not JSON: duplicate key",
        None,
    ),
    "a row's key misspelt": (
        content(DATA, ROW.replace("expected", "expectd")),
        f"{DATA}:1: unknown key",
        "'expected'?",
    ),
    "half a surrogate pair": (content(DATA, ROW.replace('"a"', '"\\ud800"')), f"{DATA}:1: holds half", None),
    "a row nested without end": (content(DATA, ROW.replace('"a"', "[" * 5000 + "]" * 5000)), f"{DATA}:1:", None),
    "no rows": (content(DATA, ""), f"{DATA}: has no rows", "at least one case"),
    "blank lines only": (content(DATA, "\n  \n\n"), f"{DATA}: has no rows", "at least one case"),
    "a binary dataset": (content(DATA, ROW.encode() + b"\0"), f"{DATA}:2: is a binary file", "UTF-8"),
    "a dataset that is a folder": (
        lambda f: ((f / DATA).unlink(), (f / DATA).mkdir())[0],
        f"{DATA}: is not a file",
        None,
    ),
    "a dataset that leads nowhere": (link(DATA, "gone.jsonl"), f"{DATA}: is not a file", None),
    "a dataset out of the workspace": (
        link(DATA, "/etc/passwd"),
        f"{DATA}: is a symbolic link out",
        "copy the file in",
    ),
    "no dataset": (lambda f: (f / DATA).unlink(), f"{SUITE_FILE}:2: no dataset 'triage'", f"write {DATA}"),
    "a dataset above the root": (
        change(SUITE_FILE, "dataset: triage", "dataset: ../x.jsonl"),
        f"{SUITE_FILE}:2: '../x.jsonl' leaves the workspace",
        "paths start at",
    ),
    "a variable no case gives": (
        content(DATA, ROW + ROW.replace("t-1", "t-2").replace("ticket", "tikcet")),
        f"{DATA}:2: case 't-2'",
        "tikcet",
    ),
    "a table without ids": (table("ticket\na\n"), "datasets/triage.csv:1: no column 'id'", "have: ticket"),
    "a table of another type": (table("id,ticket:int\n1,a\n"), "datasets/triage.csv:1: :int is not", "ticket:json"),
    "a short record": (table("id,ticket\nt-1\n"), "datasets/triage.csv:2: has 1 cells", "double quotes"),
    "an open quote": (table('id,ticket\nt-1,"a\n'), "datasets/triage.csv:2: a cell's double quote", None),
    "a column twice": (table("id,ticket,ticket\n1,a,b\n"), "datasets/triage.csv:1: 2 columns", None),
    "a header only": (table("id,ticket\n"), "datasets/triage.csv: has no rows", "at least one case"),
    "a suite's key misspelt": (change(SUITE_FILE, "dataset:", "datset:"), f"{SUITE_FILE}:2: unknown key", "'dataset'?"),
    "a suite's key twice": (
        change(SUITE_FILE, "prompt:", "prompt: a\nprompt:"),
        f"{SUITE_FILE}:2: duplicate key",
        None,
    ),
    "an empty suite": (content(SUITE_FILE, ""), f"{SUITE_FILE}:1:", None),
    "a suite in UTF-16": (content(SUITE_FILE, SUITE.encode("utf-16")), f"{SUITE_FILE}: is UTF-16", "save it as UTF-8"),
    "a suite that unfolds": (
        content(
            SUITE_FILE,
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{name}: &{name} [{','.join(['*' + chr(ord(name) - 1)] * 9)}]\n" for name in "bcdefgh"),
        ),
        "aliases expand to more than",
        None,
    ),
    "a suite with a tag": (
        content(SUITE_FILE, 'prompt: !!python/object/apply:os.system ["id"]\n'),
        f"{SUITE_FILE}:1: the tag",
        "plain",
    ),
    "trials without bound": (
        change(SUITE_FILE, "prompt:", "trials: 12345678901234567890123\nprompt:"),
        f"{SUITE_FILE}:1: 'trials' must be a whole number from 1 to 1,000",
        None,
    ),
    "an unknown grader": (grader("shcema"), f"{SUITE_FILE}:6: no grader 'shcema'", "'schema'?"),
    "a grader's unknown parameter": (grader("equals: {pth: a}"), f"{SUITE_FILE}:6: grader 'equals'", "'path'?"),
    "a pattern with a backreference": (
        grader("regex: {pattern: '(a)\\1'}"),
        f"{SUITE_FILE}:6: grader 'regex'",
        "backreferences",
    ),
    "an unknown model": (
        change(SUITE_FILE, "model: small", "model: smal"),
        f"{SUITE_FILE}:3: no model or route 'smal'",
        "'small'?",
    ),
    "a model in other letters": (
        change(SUITE_FILE, "model: small", "model: SMALL"),
        f"{SUITE_FILE}:3: no model or route 'SMALL'",
        "'small'?",
    ),
    "an unknown prompt": (
        change(SUITE_FILE, "prompt: triage", "prompt: triag"),
        f"{SUITE_FILE}:1: no prompt 'triag'",
        "'triage'?",
    ),
    "an unknown dataset": (
        change(SUITE_FILE, "dataset: triage", "dataset: triag"),
        f"{SUITE_FILE}:2: no dataset 'triag'",
        "'triage'?",
    ),
    "a judge's unknown model": (
        grader("judge: {model: smal, rubric: be kind}"),
        f"{SUITE_FILE}:6: no model or route 'smal'",
        "'small'?",
    ),
    "a prompt with a merge conflict": (
        change(PROMPT_FILE, "Sort the ticket.", "\n<<<<<<< HEAD\nSort it.\n=======\nSort the ticket.\n>>>>>>> topic\n"),
        f"{PROMPT_FILE}:10: a merge conflict is not settled: <<<<<<< HEAD",
        "git checkout --theirs prompts/triage/v1.prompt",
    ),
    "a suite with a merge conflict": (
        change(SUITE_FILE, "model: small\n", "<<<<<<< HEAD\nmodel: small\n=======\nmodel: big\n>>>>>>> topic\n"),
        f"{SUITE_FILE}:3: a merge conflict is not settled",
        "keep one side",
    ),
    "a dataset with a merge conflict": (
        content(DATA, f"{ROW}<<<<<<< HEAD\n=======\n>>>>>>> topic\n"),
        f"{DATA}:2: a merge conflict is not settled",
        "keep one side",
    ),
    "a table whose column is nearly ours": (
        table("id,ticket,Expected\na,b,c\n"),
        "datasets/triage.csv:1: unknown column 'Expected'",
        "call it expected; or inputs.Expected if the prompt uses it",
    ),
    "a misspelt default suite": (
        change(CONFIG, '"triage"', '"traige"'),
        f"{CONFIG}:2: no suite",
        "did you mean 'triage'?",
    ),
    "an unknown table": (change(CONFIG, "[models.", "[modles."), f"{CONFIG}:4: unknown key 'modles'", "'models'?"),
    "a workspace's key misspelt": (
        change(CONFIG, "default_suite", "default_siute"),
        f"{CONFIG}:2: unknown key",
        "'default_suite'?",
    ),
    "a misspelt provider key": (
        change(CONFIG, "provider", "providr"),
        f"{CONFIG}:5: unknown key 'providr'",
        "'provider'?",
    ),
    "a provider nobody offers": (
        model('provider = "opnai"\nmodel = "m"\n'),
        f"{CONFIG}:3: model 'small': no provider",
        "'openai'?",
    ),
    "a binary configuration": (content(CONFIG, b"\x7fELF\0"), f"{CONFIG}:1: is a binary file", "UTF-8"),
    "a configuration nested without end": (content(CONFIG, "a = " + "[" * 5000), f"{CONFIG}", None),
    "a script without the function": (change(CONFIG, ":answer", ":anser"), f"{CONFIG}:4: model 'small'", "'answer'?"),
    "a script that is not there": (
        change(CONFIG, "answers.py", "answrs.py"),
        f"{CONFIG}:4: model 'small'",
        "evals/answers.py",
    ),
    "a script above the root": (
        change(CONFIG, "evals/answers.py", "../answers.py"),
        f"{CONFIG}:4:",
        "copy the file in",
    ),
    "a plugin that is not there": (
        change(CONFIG, "[workspace]", '[workspace]\nplugins = ["evals/g.py"]'),
        f"{CONFIG}:2: 'evals/g.py' cannot",
        "answers.py",
    ),
    "a plugin above the root": (
        change(CONFIG, "[workspace]", '[workspace]\nplugins = ["../g.py"]'),
        f"{CONFIG}:2: '../g.py' leaves",
        "copy the file in",
    ),
    "a key in a file": (
        model('provider = "openai"\nmodel = "m"\napi_key = "sk-abcdefghijklmnop"\n'),
        f"{CONFIG}:6: 'api_key'",
        "api_key_env",
    ),
    "an address that is none": (
        model('provider = "openai"\nmodel = "m"\nbase_url = "localhost:8000"\n'),
        f"{CONFIG}:6: 'base_url'",
        "http://localhost",
    ),
    "a prompt's key misspelt": (change(PROMPT_FILE, "config:", "confg:"), f"{PROMPT_FILE}:2: unknown key", "'config'?"),
    "our own key misspelt": (
        change(PROMPT_FILE, "config:", "evalh.wy: a\nconfig:"),
        f"{PROMPT_FILE}:2:",
        "'evalh.why'?",
    ),
    "a parameter misspelt": (change(PROMPT_FILE, "max_tokens", "max_tokns"), f"{PROMPT_FILE}:2:", "'max_tokens'?"),
    "an unknown role": (change(PROMPT_FILE, '"user"', '"root"'), f"{PROMPT_FILE}:10: unknown role", "have: assistant"),
    "a role inside a block": (
        content(PROMPT_FILE, '---\nevalh.template: jinja2\n---\n{% if ticket %}{{role "system"}}{% endif %}{{ticket}}'),
        f"{PROMPT_FILE}:4: a role",
        "close the block",
    ),
    "logic in a plain prompt": (change(PROMPT_FILE, "{{ticket}}", "{{#each ticket}}"), f"{PROMPT_FILE}:11:", "jinja2"),
    "an empty prompt": (content(PROMPT_FILE, ""), f"{PROMPT_FILE}:1: the body is empty", None),
    "a binary prompt": (content(PROMPT_FILE, b"\x89PNG\r\n\0"), f"{PROMPT_FILE}:2: is a binary file", "UTF-8"),
    "a prompt in Latin-1": (
        content(PROMPT_FILE, PROMPT.encode() + b"\xe9"),
        f"{PROMPT_FILE}:12: is not UTF-8",
        "save it",
    ),
    "a prompt out of the workspace": (
        link(PROMPT_FILE, "/etc/hostname"),
        f"{PROMPT_FILE}: is a symbolic link out",
        "copy",
    ),
    "a prompt that links to itself": (
        link(PROMPT_FILE, "v1.prompt"),
        f"{PROMPT_FILE}: is a broken symbolic link",
        None,
    ),
    **{
        f"a schema at {target}": (
            change(
                PROMPT_FILE,
                "{label(enum): [billing, bug]}",
                f"{{type: object, properties: {{a: {{$ref: '{target}'}}}}}}",
            ),
            f"{PROMPT_FILE}:6: $ref to '{target}' leaves the document",
            "$defs",
        )
        for target in ("https://schemas.invalid/x.json", "file:///etc/passwd", "../x.json")
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_named_with_its_line_and_the_next_step(tmp_path: Path, evalh: CommandLine, name: str) -> None:
    edit, what, hint = WRONG[name]
    edit(write_workspace(tmp_path, cases=3))

    done = evalh(tmp_path, "run")

    refused(done, tmp_path)
    assert what in done.err
    if hint is not None:
        assert hint in done.err.split("\n", 1)[1]


@pytest.mark.parametrize("name", [name for name in WRONG if name != "a misspelt default suite"])
def test_check_finds_the_same_mistake(tmp_path: Path, evalh: CommandLine, name: str) -> None:
    edit, what, _ = WRONG[name]
    edit(write_workspace(tmp_path, cases=3))

    done = evalh(tmp_path, "check", "--json")

    found = done.document.get("problems") or [done.document["error"]]
    assert done.code == 2
    assert done.err == ""
    assert any(what.split(": ")[0].rstrip() in f"{one['where']}: {one['what']}" for one in found), found


@pytest.mark.parametrize("verb", [["explain", "triage"], ["baseline", "accept"], ["doctor"]])
def test_every_verb_says_where_a_suite_names_a_model_that_is_not_there(
    tmp_path: Path, evalh: CommandLine, verb: list[str]
) -> None:
    change(SUITE_FILE, "model: small", "model: smal")(write_workspace(tmp_path, cases=3))

    done = evalh(tmp_path, *verb)

    assert done.code == 2
    assert f"{SUITE_FILE}:3: no model or route 'smal'" in done.err + done.out
