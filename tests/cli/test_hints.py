"""Every `next:` and every hint of an error that names a command: the command is typed as it stands, and it works.

"Works" means that it is not refused as wrong usage. A word in capitals stands for something that only a person knows.
"""

import contextlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.running import Done, here
from stepping import PIPELINE, step_server, write_pipeline
from workspaces import chat_server, write_workspace

USAGE = 2
PLACEHOLDER = re.compile(r"\b(?:RUN|FILE|NAME|BASE|HEAD|COMMAND|ID)\b")
STARTS = ("evalh ", "git ", "cd ")
OTHER = "prompt: other\ndataset: triage\nmodel: small\ngraders:\n  - json\n"
DONE = {"git commit"}  # needs a message, which an editor asks for


def advice(done: Done) -> Iterator[str]:
    """Yield the commands that a verb's stderr names: of `next:` lines, and of an error's hint below it."""
    for line in done.err.splitlines():
        text = line.strip()
        if not text.startswith("next: ") and not line.startswith("  "):
            continue
        for part in re.split(r"; (?:then )?", text.removeprefix("next: ")):
            command = re.split(r"   | \(|, or | or one of", part)[0].strip().removeprefix("then ").rstrip(".:,")
            if command.startswith(STARTS) and command not in DONE and not PLACEHOLDER.search(command):
                yield command


def typed(folder: Path, command: str) -> tuple[int, str]:
    """Type a command in the folder; return its exit code and what it complained about."""
    if command.startswith("cd "):
        inside, _, command = command.removeprefix("cd ").partition(" && ")
        folder = folder / shlex.split(inside)[0]
    words = shlex.split(command)
    if words[0] == "evalh":
        with contextlib.chdir(folder):
            done = here(folder, *words[1:])
        return done.exit, done.err
    git = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    return (USAGE if git.returncode else 0), git.stderr


def walk(folder: Path, *arguments: str) -> list[str]:
    """Run a verb and type everything that it advises; return what it advised."""
    found = list(advice(here(folder, *arguments)))
    for command in found:
        code, complaint = typed(folder, command)
        nothing_yet = "no workflows are traced yet" in complaint  # the command is right, its log is still empty
        assert code != USAGE or nothing_yet, f"evalh {' '.join(arguments)} → {command}\n{complaint}"
    return found


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = write_workspace(tmp_path, cases=14)
    v1 = (folder / "prompts/triage/v1.prompt").read_text()
    (folder / "prompts/triage/v2.prompt").write_text(v1.replace("Sort the ticket.", "Sort this ticket."))
    (folder / "prompts/triage/draft.prompt").write_text(v1.replace("Sort the ticket.", "Sort this short ticket."))
    (folder / "evals/other.yaml").write_text(OTHER)
    (folder / "prompts/other").mkdir()
    (folder / "prompts/other/v1.prompt").write_text(v1)
    for words in ("init -q -b main", "config user.name ada", "config user.email ada@example.org", "add -A"):
        subprocess.run(["git", *words.split()], cwd=folder, check=True)
    subprocess.run(["git", "commit", "-qm", "Start"], cwd=folder, check=True)
    return folder


def test_what_a_day_of_work_advises_can_be_typed(workspace: Path) -> None:
    day = [
        *(["run"], ["run", "--prompt", "v1", "--prompt", "v2"], ["compare", "v1", "v2"], ["show"], ["report"]),
        *(["prompt", "release", "triage"], ["prompt", "new", "third"], ["dataset", "clusters", "triage"]),
        *(
            ["dataset", "dedupe", "triage"],
            ["baseline", "status"],
            ["baseline", "accept", "v1"],
            ["baseline", "status"],
        ),
        *(["drift"], ["gate", "--base", "HEAD"], ["check"], ["power", "triage"], ["doctor"], ["label", "--status"]),
        *(["calls", "--errors"], ["trace", "list"], ["grade", "triage", "--production"], ["ci", "init", "github"]),
        *(["export", "recorded"], ["cost"], ["calibrate", "equals"], ["explain", "triage"], ["model", "list"]),
    ]
    advised = [command for arguments in day for command in walk(workspace, *arguments)]

    assert len(advised) > 10
    assert any(command.startswith("git add") for command in advised)


@pytest.mark.parametrize("task", ["label", "extract", "reply"])
def test_what_a_new_workspace_advises_can_be_typed(tmp_path: Path, task: str) -> None:
    assert walk(tmp_path, "init", "mine", "--task", task, "--model", "recorded")


def test_what_own_rows_advise_can_be_typed(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": "b"}\n')
    told = here(tmp_path, "init", "mine", "--from", "rows.jsonl", "--model", "small")

    assert list(advice(told)) == ["cd mine && evalh run"]


MISTAKES = [
    *(["run"], ["run", "triaje"], ["run", "v2"], ["run", "third"], ["run", "--prompt", "v9"], ["run", "-m", "smal"]),
    *(
        ["run", "--case", "t-9"],
        ["run", "--tag", "x"],
        ["compare"],
        ["compare", "v1", "v9"],
        ["compare", "third@v1", "v1"],
    ),
    *(["show", "t-9"], ["report", "nothing"], ["label"], ["power"], ["grade"], ["explain"], ["calibrate", "equal"]),
    *(
        ["gate", "--base", "nowhere"],
        ["gate"],
        ["drift", "other"],
        ["drift"],
        ["baseline", "accept"],
        ["blame", "last"],
    ),
    *(["render", "t-9"], ["prompt", "show", "v9"], ["prompt", "release", "third"], ["prompt", "release", "other"]),
    *(["dataset", "clusters"], ["dataset", "clusters", "triaje"], ["dataset", "add", "triage", "--from", "x"]),
    *(["dataset", "clusters", "triage", "--force"], ["export", "recorded", "zz"], ["model", "price", "smal"]),
    *(
        ["calls", "--run", "zz"],
        ["trace", "show", "x"],
        ["sql", "delete from runs"],
        ["init"],
        ["ci", "init", "github"],
    ),
]


@pytest.mark.parametrize("default", ["triage", None])
def test_what_a_mistake_advises_can_be_typed(workspace: Path, default: str | None) -> None:
    if default is None:
        config = workspace / "evalh.toml"
        config.write_text(config.read_text().replace('default_suite = "triage"\n', ""))
    advised = [command for arguments in MISTAKES for command in walk(workspace, *arguments)]
    assert here(workspace, "run", "triage", "--prompt", "v1").exit == 0
    advised += [command for arguments in MISTAKES for command in walk(workspace, *arguments)]

    assert len(advised) > 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "triaje"], "no suite 'triaje'"),
        (["explain", "triaje"], "no suite, route or model 'triaje'"),
        (["power", "triaje"], "no suite 'triaje'"),
        (["label", "triaje"], "no suite 'triaje'"),
        (["drift", "triaje"], "no suite 'triaje'"),
        (["gate", "triaje", "--base", "HEAD"], "no suite 'triaje'"),
        (["compare", "v1", "v2", "--suite", "triaje"], "no suite 'triaje'"),
        (["run", "--prompt", "triaje@v1"], "no prompt 'triaje'"),
        (["prompt", "show", "triaje"], "no prompt 'triaje'"),
        (["run", "--prompt", "v9"], "no version 'v9' of prompt 'triage'"),
        (["prompt", "diff", "v1", "v9"], "no version 'v9' of prompt 'triage'"),
        (["run", "-m", "smal"], "no model or route 'smal'"),
        (["compare", "v1@smal", "v2"], "no version or model 'smal'"),
        (["run", "--tag", "foo"], "no case has the tag 'foo'"),
        (["run", "--case", "t-001"], "no case 't-001'"),
        (["render", "t-001"], "no case 't-001'"),
        (["calls", "--run", "zz"], "no run 'zz'"),
        (["report", "zz"], "'zz'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_there_is_said_in_one_wording(workspace: Path, arguments: list[str], said: str) -> None:
    assert here(workspace, "run").exit == 0
    done = here(workspace, *arguments)

    assert done.exit == USAGE
    assert said in done.err
    told = ("did you mean", "have: ", "no case has a tag")
    assert any(one in done.err for one in told)


def test_a_model_without_a_price_says_where_to_write_one(tmp_path: Path) -> None:
    note = "note: small has no price; `price` in [models.small] of evalh.toml gives the cost per good output"
    with chat_server() as (_, model):
        write_workspace(tmp_path, cases=4, model=model)
        priced = here(tmp_path, "run", "triage")
        write_workspace(tmp_path, cases=4, model=re.sub(r"price = .*\n", "", model))
        unpriced = here(tmp_path, "run", "triage", "--prompt", "v1", "--prompt", "v1", "--fresh")

    assert "no price" not in priced.err
    assert unpriced.err.count(note) == 1


def test_answers_that_are_older_than_the_price_say_why_the_cost_is_unknown(tmp_path: Path) -> None:
    note = "note: answers in the log were bought when the model had no price"
    with chat_server() as (_, model):
        write_workspace(tmp_path, cases=4, model=re.sub(r"price = .*\n", "", model))
        before = here(tmp_path, "run", "triage")
        write_workspace(tmp_path, cases=4, model=re.sub(r"price = .*\n", "price = {per_hour = 1.0}\n", model))
        again = here(tmp_path, "run", "triage")
        fresh = here(tmp_path, "run", "triage", "--fresh")

    assert note not in before.err
    assert again.err.count(note) == 1
    assert "by the hour" not in again.out  # nothing is priced, so the busy machine cost nothing
    assert note not in fresh.err
    assert "by the hour" in fresh.out


def test_a_guess_of_init_that_was_wrong_is_put_right_by_the_commands_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,sort\nhello,hi\nfarewell,bye\nsee you,bye\nhow are you,hi\n")
    with contextlib.chdir(tmp_path):
        assert here(tmp_path, "init", "mine", "--from", "rows.csv", "--map", "text=sort,skip=text").exit == 0
        again = here(tmp_path, "init", "mine", "--from", "rows.csv", "--map", "expected=sort")
        words = shlex.split(again.err.rpartition("to import the rows into it: evalh ")[2])
        refused = here(tmp_path, *words)
        removal = shlex.split(refused.err.rpartition("and lose its changes: ")[2])
        subprocess.run(removal, check=True)
        done = here(tmp_path, *words)

    assert again.exit == refused.exit == USAGE
    assert (removal[0], len(removal)) == ("rm", 5)
    assert done.exit == 0, done.err
    assert '"expected": "hi"' in (tmp_path / "mine/datasets/rows.jsonl").read_text()


def test_a_case_is_found_by_the_beginning_of_its_id(workspace: Path) -> None:
    rows = workspace / "datasets/triage.jsonl"
    rows.write_text(rows.read_text().replace('"t-0003"', '"parcel-lost-6ead59"'))
    here(workspace, "run")  # the scripted model knows no parcel: that sample is ungraded, and in the log

    whole, begun = here(workspace, "show", "parcel-lost-6ead59"), here(workspace, "show", "parcel")
    several = here(workspace, "show", "t-001")

    assert whole.exit == 0
    assert begun.out == whole.out
    assert several.exit == USAGE
    assert "'t-001' is the beginning of several cases" in several.err
    assert "have: t-0010, t-0011" in several.err


@pytest.mark.parametrize(
    ("words", "told"),
    [(("csv", "my out.csv"), "evalh export csv > 'my out.csv'"), (("recorded", "a.jsonl"), "recorded -o a.jsonl")],
)
def test_a_file_in_place_of_a_run_is_told_where_it_goes(workspace: Path, words: tuple[str, str], told: str) -> None:
    assert here(workspace, "run", "--limit", "1").exit == 0

    done = here(workspace, "export", *words)

    assert done.exit == USAGE
    assert told in done.err


def test_failed_requests_are_offered_only_where_the_log_has_them(tmp_path: Path, workspace: Path) -> None:
    offered = "evalh calls --errors"
    broken = 'def find(order_id):\n    raise ValueError("no such order")\n'
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path / "steps", port, cases=2)
        (folder / "prompts/refund/v1.pipeline.yaml").write_text(PIPELINE)
        (folder / "steps/orders.py").write_text(broken)
        done, accepted = here(folder, "run"), here(folder, "baseline", "accept", "refund@v1")
    assert "step_error" in done.out
    assert offered not in advice(done)

    (show,) = advice(accepted)
    assert "no such order" in here(folder, *shlex.split(show.removesuffix(" shows why"))[1:]).out

    (workspace / "evals/answers.py").write_text("def answer(request, case_id, trial):\n    raise ValueError\n")
    assert offered in advice(here(workspace, "run"))
    assert "t-0001  error" in here(workspace, "calls", "--errors").out


def test_a_run_that_escalated_names_what_explains_it(tmp_path: Path) -> None:
    doubt = 'cascade = {checks = [{contains = {value = "never said"}}], escalate_to = "strong"}'
    route = f'[routes.careful]\nmodel = "small"\n{doubt}\n'
    with chat_server() as (_, model):
        folder = write_workspace(tmp_path / "plain", cases=3, model=f"{model}\n[models.strong]\n{model}\n{route}")
        direct = here(folder, "run")
        table, routed = (
            here(folder, "run", "-m", "small", "-m", "careful"),
            here(folder, "run", "-m", "careful", "--fresh"),
        )
    with step_server() as (_, port):
        steps = write_pipeline(tmp_path / "steps", port, cases=2)
        config = (steps / "evalh.toml").read_text()
        strong = "[models.strong]\n" + config.partition("[models.small]\n")[2]
        (steps / "evalh.toml").write_text(f"{config}\n{strong}\n{route}")
        flow = steps / "prompts/refund/draft.pipeline.yaml"
        flow.write_text(flow.read_text().replace("  reply:\n", "  reply:\n    model: careful\n"))
        piped = here(steps, "run")

    assert not any("escalat" in line for line in direct.err.splitlines())
    for done in (routed, table):
        assert "evalh explain careful" in advice(done)
    (listing,) = (command for command in advice(piped) if "--escalated" in command)
    assert "r-0002 ·" in " ".join(here(steps, *shlex.split(listing)[1:]).out.split())


@pytest.fixture
def spaced(tmp_path: Path) -> Path:
    """A workspace in which suites, a grader and the dataset have names that a shell would take apart."""
    folder = write_workspace(tmp_path, cases=14)
    (folder / "datasets/triage.jsonl").rename(folder / "datasets/my rows.jsonl")
    suite = (folder / "evals/triage.yaml").read_text().replace("dataset: triage", "dataset: my rows")
    suite += "  - contains: {value: bi, name: my grader}\n"
    (folder / "evals/triage.yaml").unlink()
    for name in ("my suite", "other;suite"):
        (folder / f"evals/{name}.yaml").write_text(suite)
    config = (folder / "evalh.toml").read_text().replace('default_suite = "triage"\n', "")
    (folder / "evalh.toml").write_text(config)
    for words in ("init -q -b trunk", "config user.name ada", "config user.email ada@example.org", "add -A"):
        subprocess.run(["git", *words.split()], cwd=folder, check=True)
    subprocess.run(["git", "commit", "-qm", "Start"], cwd=folder, check=True)
    return folder


def test_names_with_blanks_and_signs_are_quoted_in_what_is_advised(spaced: Path) -> None:
    day = [
        *(["run"], ["run", "my suite"], ["label"], ["grade"], ["power"], ["matrix"]),
        *(["calibrate", "my grader", "--suite", "my suite"], ["matrix", "other;suite"], ["drift", "my suite"]),
        *(["baseline", "accept", "triage@v1", "--suite", "my suite"], ["drift"], ["dataset", "add", "my suite"]),
        *(["prompt", "release", "triage"], ["gate"], ["compare", "v1", "v2"], ["check"]),
    ]
    advised = [command for words in day for command in walk(spaced, *words)]

    assert "evalh label 'my suite' --about 'my grader'" in advised
    assert "evalh baseline accept --suite 'my suite'" in advised
    assert "evalh run 'other;suite'" in advised
    assert "evalh calibrate 'my grader' --suite 'my suite'   or" in here(spaced, "calibrate", "my grader").err


@pytest.mark.parametrize(
    ("branches", "named"),
    [
        (("trunk",), "trunk"),
        (("master", "work"), "master"),
        (("main", "master", "work"), "main"),
        (("my;work",), "'my;work'"),
    ],
)
def test_the_base_that_is_advised_is_a_branch_that_is_there(
    tmp_path: Path, branches: tuple[str, ...], named: str
) -> None:
    write_workspace(tmp_path, cases=2)

    def git(*words: str) -> None:
        author = ["-c", "user.name=ada", "-c", "user.email=ada@example.org"]
        subprocess.run(["git", *author, *words], cwd=tmp_path, check=True)

    git("init", "-q", "-b", branches[0])
    git("add", "-A")
    git("commit", "-qm", "Start")
    for branch in branches[1:]:
        git("checkout", "-qb", branch)

    refused = here(tmp_path, "gate")
    (command,) = advice(refused)

    assert refused.exit == USAGE
    assert command == f"evalh gate --base {named}"
    assert typed(tmp_path, command)[0] != USAGE


def test_a_base_that_is_head_itself_advises_a_branch_that_is_there(tmp_path: Path) -> None:
    write_workspace(tmp_path, cases=2)
    config = tmp_path / "evalh.toml"
    config.write_text(config.read_text().replace("[workspace]\n", '[workspace]\nbase = "HEAD"\n'))
    for words in ("init -q -b master", "add -A", "-c user.name=a -c user.email=a@b commit -qm Start"):
        subprocess.run(["git", *words.split()], cwd=tmp_path, check=True)

    assert 'base = "master"' in here(tmp_path, "gate").err
