"""`evalh skill`: what it writes, what it leaves alone, and that every command in it works."""

import shlex
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from evalh.api.new_workspace import NewWorkspace, write_workspace
from workspaces import document, evalh

SKILL = Path(".claude/skills/evalh/SKILL.md")
TEXT = (files("evalh.agents") / "SKILL.md").read_text(encoding="utf-8")
COMMANDS = [line.removeprefix("$ evalh ") for line in TEXT.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("skill")
    write_workspace(folder, NewWorkspace(model="recorded"))
    config = (folder / "evalh.toml").read_text()
    priced = config.replace("[models.recorded]\n", "[models.recorded]\nprice = {input = 0.25, output = 2.0}\n")
    (folder / "evalh.toml").write_text(priced)  # a budget needs a price
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Start"]):
        author = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", *author, *words], cwd=folder, check=True)
    evalh(folder, "run")
    return folder


@pytest.fixture
def folder(started: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(started, tmp_path / "repository"))


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_the_skill_works(started: Path, command: str) -> None:
    done = evalh(started, *shlex.split(command))

    assert done.returncode == 0, done.stderr


def test_the_skill_names_no_command_outside_of_what_is_run() -> None:
    blocks = TEXT.split("```")[1::2]

    assert len(COMMANDS) > 8
    assert all(block.startswith("console\n") for block in blocks)
    assert all(line.startswith("$ evalh ") for block in blocks for line in block.splitlines()[1:])


def test_a_run_of_the_skill_always_has_a_budget() -> None:
    asks = [one for one in COMMANDS if one.split()[0] in {"run", "compare", "gate"} and "--dry-run" not in one]

    assert asks
    assert [one for one in asks if "--budget" not in one] == []
    assert "--fresh" not in " ".join(COMMANDS)


def test_the_skill_file_begins_with_its_name_and_when_to_use_it(folder: Path) -> None:
    written = document(evalh(folder, "skill", "--json"))
    _, front, body = (folder / SKILL).read_text().split("---\n", 2)

    assert (written["file"], written["state"]) == (str(SKILL), "written")
    assert set(yaml.safe_load(front)) == {"name", "description"}
    assert yaml.safe_load(front)["name"] == "evalh"
    assert TEXT in body


def test_the_same_command_again_changes_nothing(folder: Path) -> None:
    evalh(folder, "skill")
    before = (folder / SKILL).read_bytes()

    assert "is up to date" in evalh(folder, "skill").stdout
    assert (folder / SKILL).read_bytes() == before


def test_an_older_text_of_ours_is_brought_up_to_date(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evalh.agents import skill

    now = skill.skill_text
    monkeypatch.setattr(skill, "skill_text", lambda folder="": now(folder).replace("## Look", "## Have a look"))
    skill.write_skill(folder, "", agents=False)
    monkeypatch.undo()

    assert "updated" in evalh(folder, "skill").stdout
    assert TEXT in (folder / SKILL).read_text()


@pytest.mark.parametrize("text", ["my own skill\n", "", "---\nname: evalh\n---\n\nours, by hand\n", "\xff"])
def test_a_skill_file_of_somebody_else_is_not_overwritten(folder: Path, text: str) -> None:
    (folder / SKILL).parent.mkdir(parents=True)
    (folder / SKILL).write_bytes(text.encode("latin-1"))

    done = evalh(folder, "skill")

    assert (done.returncode, "evalh skill --print" in done.stderr) == (2, True)
    assert (folder / SKILL).read_bytes() == text.encode("latin-1")


def test_our_text_that_somebody_edited_is_not_overwritten(folder: Path) -> None:
    evalh(folder, "skill")
    edited = (folder / SKILL).read_text().replace("Models cost money.", "Cost does not matter.")
    (folder / SKILL).write_text(edited)

    assert evalh(folder, "skill").returncode == 2
    assert (folder / SKILL).read_text() == edited


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_section_of_agents_md_stands_among_what_others_wrote(folder: Path, end: str) -> None:
    agents = folder / "AGENTS.md"
    agents.write_bytes(f"# Our rules{end}Be kind.{end}".encode())
    evalh(folder, "skill", "--agents")
    agents.write_bytes(agents.read_bytes() + f"{end}## More{end}".encode())
    again = evalh(folder, "skill", "--agents")

    text = agents.read_bytes().decode()
    assert again.returncode == 0, again.stderr
    assert "is up to date" in again.stdout
    assert text.startswith(f"# Our rules{end}Be kind.{end}{end}<!-- evalh skill ")
    assert text.endswith(f"<!-- end of evalh skill -->{end}{end}## More{end}")
    assert text.count("# evalh: measure") == 1
    assert ("\r\n" in text) == (end == "\r\n")


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder / ".claude").symlink_to(tmp_path / "elsewhere")

    assert evalh(folder, "skill").returncode == 2
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_workspace_in_a_folder_is_named_in_each_command(folder: Path) -> None:
    (folder / "my prompts").mkdir()
    for name in ("evalh.toml", "prompts", "evals", "datasets", "recorded"):
        (folder / name).rename(folder / "my prompts" / name)
    evalh(folder / "my prompts", "skill")

    text = (folder / SKILL).read_text()
    assert "$ evalh -C 'my prompts' check" in text
    assert "$ evalh check" not in text
