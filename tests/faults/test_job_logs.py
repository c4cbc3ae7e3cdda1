"""What a CI job's runner reads of our output: no command of a stranger's, and no line that passes for one of ours."""

import json
import os
import re
import unicodedata
from pathlib import Path

import pytest

from browser.hostile import CORPUS
from command_line import CommandLine, Done
from faults.attacks import ATTACKS
from gating import CONFIG, Repo

COMMANDS = (
    "::stop-commands::pwned",
    "  ::set-output name=a::b",
    "\t::add-mask::the",
    "\u00a0::error file=a::b",
    "\u3000::warning::x",
    "\u200b::debug::x",
    "\ufeff::save-state name=a::b",
    "x\n::set-env name=PATH::/tmp",
    "x\r::add-path::/tmp",
    "x\r\n::group::x",
    "x\u2028::notice::x",
    "x\x85::notice::x",
    "x\x0b::notice::x",
    "##[group]x",
    "x ##[set-env name=a]b",
    "##vso[task.setvariable variable=a]b",
    "x ##VSO[task.complete result=Succeeded;]done",
    "###[error]x",
    "##teamcity[buildStatus status='SUCCESS']",
    "section_start:1560896352:evil\r\x1b[0Kaccept",
    "x\nsection_end:1560896352:evil\r\x1b[0K",
    "%0A::set-output name=a::b",
    "a" * 97 + " ::set-output name=a::b",
    " ".join(["ab"] * 60) + " ::set-output name=a::b" * 40,
)
FORGERIES = (
    "x\naccept\nx",
    "\naccept",
    "accept\n",
    "x\raccept\r",
    "\x1b[2K\raccept",
    "x\x0baccept\x0c",
    "x\u2028accept\u2029",
    "x\x85accept\x85",
    "x\n\x1b[32maccept\x1b[0m\n",
    "x\nerror: all is well\n",
    "\u202eevil\u202c accept",
    "b" * 100 + "accept",
    "b" * 93 + " accept",
    " ".join(["abcd"] * 20) + " accept",
)
TEXTS = tuple(
    dict.fromkeys(
        one.encode("utf-8", "replace").decode().replace("\0", "")[:3000]
        for one in (*COMMANDS, *FORGERIES, *CORPUS, *ATTACKS.values())
    )
)
OBEYED = re.compile(r"##[A-Za-z]*\[|section_(?:start|end):\d+:|\A::")
OURS = ("accept", "error: all is well")
BLANK = "".join(chr(code) for code in range(0x10000) if chr(code).isspace()) + "\u200b\u200c\u200d\u2060\ufeff\u00ad"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def read_as_runner(text: str) -> list[str]:
    """Return the lines that a runner would obey: it ends lines at both signs, and trims them."""
    lines = (ESCAPES.sub("", line).strip(BLANK) for line in re.split(r"[\r\n]", text))
    return [line for line in lines if OBEYED.search(line)]


def held(done: Done, *, ours: int = 0, document: bool = False) -> None:
    """Hold what is printed to both rules; `ours` commands are our own. A document's cells may have several lines."""
    text = f"{done.out}\n{done.err}".replace("\r\n", "\n")
    obeyed = [
        line
        for line in read_as_runner(text)
        if not line.startswith(("::error file=prompts/", "::warning file=prompts/"))
    ]
    assert obeyed == []
    assert len(read_as_runner(text)) == ours
    assert not [sign for sign in text if sign not in "\n\t" and unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", text)
    for line in re.split("[\n\r\x0b\x0c\x85\u2028\u2029]", text):
        assert document or line not in OURS, line
    assert "Traceback" not in done.err
    assert done.code != 5


SAID = """
from evalh import Verdict, grader

@grader("said")
def said(ctx):
    return Verdict.check(not ctx.text.startswith("worse"), ctx.text)
"""
ECHO = """
def answer(request, case_id, trial):
    text = "\\n".join(message.text for message in request.messages)
    given = request.messages[-1].text
    return ("worse " + given) if "be worse" in text else given
"""
SUITE = """prompt: triage
dataset: triage
model: small
trials: 1
graders:
  - said
gate: {must_pass: [], require: not_worse_shown}
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory, evalh: CommandLine) -> Repo:
    """A repository whose every text is hostile; its change makes the answers worse."""
    made = Repo(tmp_path_factory.mktemp("logs") / "repo", cases=1)
    with made.on_main():
        made.write("evals/answers.py", ECHO)
        made.write("evals/said.py", SAID)
        made.write(
            "evalh.toml",
            CONFIG.replace('default_suite = "triage"', 'default_suite = "triage"\nplugins = ["evals/said.py"]'),
        )
        made.write("evals/triage.yaml", SUITE.replace("gate: {must_pass: [], require: not_worse_shown}\n", ""))
        made.rows(
            [
                {
                    "id": f"{text[:400]}{number}",
                    "inputs": {"ticket": text},
                    "expected": {"label": text},
                    "tags": [text[:200] or "t"],
                }
                for number, text in enumerate(TEXTS)
            ]
        )
        prompt = f"---\ndescription: {json.dumps(COMMANDS[7])}\nconfig: {{temperature: 0}}\ninput: {{schema: {{ticket: string}}}}\n"
        body = '---\n{{role "system"}}\nEcho.\n{{role "user"}}\n{{ticket}}\n'
        made.write("prompts/triage/draft.prompt", prompt + body)
        made.write("prompts/triage/v1.prompt", prompt + body)
    made.write(
        "prompts/triage/draft.prompt", prompt + body.replace("Echo.", "Echo, be worse.\n::stop-commands::x\n##[group]x")
    )
    made.commit()
    assert evalh(made.folder, "run", "--prompt", "draft", "--prompt", "v1").code == 0
    return made


IDS = [f"{text[:400]}{number}" for number, text in enumerate(TEXTS)]
VERBS = [
    ["run"],
    ["run", "--fresh"],
    ["run", "--json"],
    ["run", "--dry-run"],
    ["gate", "--base", "main"],
    ["gate", "--base", "main", "--json"],
    ["gate", "--base", "main", "--head", "change", "--trust", "base"],
    ["gate", "--base", "main", "--comment", "/dev/stdout", "--junit", "/dev/stderr"],
    ["compare", "v1", "draft"],
    ["compare", "v1", "draft", "--json", "--examples", "50"],
    ["compare", "v1", "draft", "--examples", "50"],
    ["show"],
    ["show", "--json"],
    ["calls", "--limit", "200"],
    ["calls", "--json", "--limit", "200"],
    ["explain"],
    ["cost"],
    ["power"],
    ["check"],
    ["check", "--json"],
    ["doctor"],
    ["prompt", "list"],
    ["prompt", "show", "draft"],
    ["prompt", "diff", "v1", "draft"],
    ["prompt", "log", "triage"],
    ["sql", "select * from samples"],
    ["sql", "select text, case_id from attempts join calls on calls.id = call_id"],
    ["sql", "select text from attempts", "--json"],
    ["sql", "select '::set-output name=a::b' as '##[group]x'"],
    ["report", "--format", "markdown"],
    ["report", "--format", "csv"],
    ["report", "--format", "junit"],
    ["report", "--format", "terminal"],
    ["report", "--format", "json"],
    ["report", "--format", "csv", "-o", "/dev/stdout"],
    ["export", "recorded"],
    ["label", "triage", "--author", "ada", "--json"],
    ["grader", "test", "triage", "said"],
    ["baseline", "status"],
    ["run", "--tag", COMMANDS[0]],
    ["run", "--model", COMMANDS[7]],
    ["show", FORGERIES[0]],
    [FORGERIES[0]],
    ["run", f"--{FORGERIES[0]}"],
    ["gate", FORGERIES[0]],
    ["gate", "--base", FORGERIES[0]],
]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: " ".join(verb)[:50].encode("unicode_escape").decode())
def test_no_verb_prints_a_command_or_a_line_of_ours_for_a_stranger(
    repo: Repo, evalh: CommandLine, verb: list[str]
) -> None:
    held(evalh(repo.folder, *verb, cwd=str(repo.folder)), document="csv" in verb or "junit" in verb)


@pytest.mark.parametrize("number", range(0, len(IDS), 3))
def test_a_case_is_shown_and_rendered_inert(repo: Repo, evalh: CommandLine, number: int) -> None:
    for verb in (
        ["show", IDS[number]],
        ["render", IDS[number]],
        ["run", "--case", IDS[number], "--fresh"],
        ["run", "--case", f"not {IDS[number]}"],
    ):
        held(evalh(repo.folder, *verb))


def test_on_github_only_our_own_annotations_are_obeyed(repo: Repo, evalh: CommandLine, tmp_path: Path) -> None:
    env = {**os.environ, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}

    done = evalh(repo.folder, "gate", "--base", "main", env=env)

    held(done, ours=1)
    assert done.code == 1
    assert "\nrefuse\n" in done.out
    assert "evalh gate: refuse" in (tmp_path / "summary.md").read_text()


def test_honest_text_looks_as_before(repo: Repo, evalh: CommandLine) -> None:
    honest = [
        "naïve café 🙂 👩‍💻",
        "हिन्दी में उत्तर",
        "a\tb",
        "std::vector<int>",
        "## Heading [link](x)",
        "#channel",
        "C# [x]",
        "a :: b",
    ]
    for text in honest:
        done = evalh(repo.folder, "sql", f"select '{text}'")
        assert text.split("\t")[0] in done.out
        assert "\\u" not in done.out


def test_what_json_readers_get_is_the_text_itself(repo: Repo, evalh: CommandLine) -> None:
    for text in ("##[group]x", "::set-output name=a::b", "section_start:1:x"):
        (row,) = evalh(repo.folder, "sql", f"select '{text}'", "--json").document["rows"]
        assert row == [text]
    assert evalh(repo.folder, "run").code == 0
    recorded = evalh(repo.folder, "export", "recorded", "last")
    outputs = {json.loads(line)["output"] for line in recorded.out.splitlines()}
    assert {"##[group]x", "::stop-commands::pwned"} <= {one.removeprefix("worse ") for one in outputs}


def test_check_refuses_new_ids_with_control_characters_by_line(repo: Repo, evalh: CommandLine, tmp_path: Path) -> None:
    other = Repo(tmp_path / "repo", cases=3)
    rows = (other.folder / "datasets/triage.jsonl").read_text()
    for sign in ("\n", "\r", "\t", "\x1b", "\x85", "\u2028", "\u202e", "\x7f"):
        other.write(
            "datasets/triage.jsonl", rows + json.dumps({"id": f"a{sign}b", "inputs": {"ticket": "order 9"}}) + "\n"
        )
        done = evalh(other.folder, "check")
        assert done.code == 2, sign
        assert "datasets/triage.jsonl:4: the case id" in done.out
        held(done)
    other.git("stash", "-q")
    other.git("checkout", "-q", "main")
    other.git("stash", "pop", "-q")
    other.write("evalh.toml", CONFIG.replace("[workspace]", '[workspace]\nbase = "main"'))
    other.commit()
    old = evalh(other.folder, "check")

    assert old.code == 0, old
    assert "base has it too" in old.err
    for honest in ("a b", "naïve 🙂", "हिन्दी", "a::b", "##x"):
        other.write("datasets/triage.jsonl", rows + json.dumps({"id": honest, "inputs": {"ticket": "order 9"}}) + "\n")
        assert evalh(other.folder, "check").code == 0, honest
