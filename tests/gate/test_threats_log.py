"""A log that came with the checkout, git that cannot answer, and links that lead where nothing may be read."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalh.api.workspace import Workspace
from evalh.core.errors import EvalhError, WorkspaceError
from gating import Repo
from workspaces import evalh


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo", cases=30)


@pytest.fixture
def workspace(repo: Repo) -> Iterator[Workspace]:
    """The workspace of `repo`, whose git is closed in the end."""
    opened = Workspace.open(repo.folder)
    yield opened
    if opened.repository is not None:
        opened.repository.close()


def forged(repo: Repo) -> None:
    """Answer head's prompt with a good one's answers, in a log that the pull request then brings."""
    repo.prompt(wrong=1000)
    assert evalh(repo.folder, "run").returncode == 0
    (repo.folder / ".evalh/.gitignore").unlink()
    repo.write(".gitignore", "__pycache__/\n")
    repo.prompt(wrong=1)


@pytest.mark.parametrize("trust", ["head", "base"])
@pytest.mark.parametrize("where", ["committed", "staged"])
def test_a_log_that_git_tracks_is_refused_and_named(repo: Repo, trust: str, where: str) -> None:
    forged(repo)
    repo.git("add", "-A")
    if where == "committed":
        repo.commit()

    gate = evalh(repo.folder, "gate", "--base", "main", "--trust", trust)
    check = evalh(repo.folder, "check")

    assert gate.returncode == check.returncode == 2
    assert "git tracks the log (.evalh/evalh.db" in gate.stderr
    assert "git tracks the log (.evalh/evalh.db" in check.stdout
    assert "git rm -r --cached .evalh" in gate.stderr


@pytest.mark.parametrize("what", ["the folder", "the file", "a file beside it", "a folder above"])
def test_a_log_that_is_a_link_is_refused_and_named(repo: Repo, tmp_path: Path, what: str) -> None:
    forged(repo)
    env = dict(os.environ)
    log = repo.folder / ".evalh"
    if what == "the folder":
        log.rename(repo.folder / "kept")
        log.symlink_to("kept")
    elif what == "the file":
        (log / "evalh.db").rename(repo.folder / "kept.db")
        (log / "evalh.db").symlink_to("../kept.db")
    elif what == "a file beside it":
        (log / "evalh.db-wal").unlink(missing_ok=True)
        (log / "evalh.db-wal").symlink_to("../evalh.toml")
    else:
        (repo.folder / "real").mkdir()
        log.rename(repo.folder / "real/log")
        (repo.folder / "over").symlink_to("real")
        env["EVALH_STORE"] = str(repo.folder / "over/log")

    gate, check = (evalh(repo.folder, *verb, env=env) for verb in (["gate", "--base", "main"], ["check"]))

    assert gate.returncode == check.returncode == 2
    assert "the log is a symbolic link, or in a linked folder" in gate.stderr
    assert "the log is a symbolic link, or in a linked folder" in check.stdout


def test_a_tracked_log_that_is_reached_by_a_link_from_outside_is_refused(repo: Repo, tmp_path: Path) -> None:
    forged(repo)
    repo.commit()
    (tmp_path / "outside").symlink_to(repo.folder / ".evalh")

    done = evalh(repo.folder, "gate", "--base", "main", env={**os.environ, "EVALH_STORE": str(tmp_path / "outside")})

    assert done.returncode == 2
    assert "git tracks the log" in done.stderr


def test_a_log_outside_the_checkout_is_used_whatever_a_commit_brings(repo: Repo, tmp_path: Path) -> None:
    forged(repo)
    repo.commit()

    done = evalh(repo.folder, "gate", "--base", "main", env={**os.environ, "EVALH_STORE": str(tmp_path / "log")})

    assert done.returncode == 1
    assert "shown to be worse" in done.stdout
    assert (tmp_path / "log/evalh.db").is_file()


def test_a_log_that_git_ignores_is_ones_own(repo: Repo) -> None:
    evalh(repo.folder, "run")

    assert evalh(repo.folder, "check").returncode == 0
    assert evalh(repo.folder, "gate", "--base", "main").returncode == 0


# -- git


def test_before_the_first_commit_there_is_nothing_to_compare_with_and_nothing_wrong(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=5)
    shutil.rmtree(repo.folder / ".git")
    repo.git("init", "-q")

    assert evalh(repo.folder, "check").returncode == 0
    assert evalh(repo.folder, "gate").returncode == 2


@pytest.mark.parametrize("trust", ["head", "base"])
def test_without_an_evalh_toml_there_is_no_accept(repo: Repo, trust: str) -> None:
    (repo.folder / "evalh.toml").unlink()
    repo.commit()

    assert evalh(repo.folder, "gate", "--base", "main", "--trust", trust).returncode == 2


def test_where_git_is_there_and_cannot_answer_nothing_is_called_right(repo: Repo) -> None:
    (repo.folder / ".git/HEAD").write_text("garbage")

    gate, check = evalh(repo.folder, "gate", "--base", "main"), evalh(repo.folder, "check")
    document = evalh(repo.folder, "check", "--json")

    assert gate.returncode == check.returncode == document.returncode == 4
    assert "the git repository cannot be read" in gate.stderr
    assert "cannot check whether frozen versions were edited" in check.stdout


def test_without_a_remote_a_frozen_version_is_held_to_the_last_commit(repo: Repo) -> None:
    assert evalh(repo.folder, "prompt", "release", "triage").returncode == 0
    repo.commit()
    committed = evalh(repo.folder, "check")
    frozen = repo.folder / "prompts/triage/v1.prompt"
    frozen.write_text(frozen.read_text().replace("Sort the ticket", "Sort every ticket"))

    repo.git("tag", "MERGE_HEAD", repo.git("commit-tree", repo.git("stash", "create") + "^{tree}", "-m", "edited"))

    check = evalh(repo.folder, "check")

    assert committed.returncode == 0
    assert "no remote and no [workspace] base: frozen versions are compared with HEAD alone" in committed.stderr
    assert check.returncode == 2
    assert "triage@v1 is frozen on HEAD and was changed" in check.stdout


def test_a_repository_that_a_commit_brings_is_not_taken_for_the_one_it_lies_in(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=30, wrong=1000)
    with repo.on_main():
        (repo.folder / "apps/a").mkdir(parents=True)
        for name in ("evalh.toml", "evals", "prompts", "datasets"):
            (repo.folder / name).rename(repo.folder / "apps/a" / name)
    repo.write("apps/a/HEAD", "ref: refs/heads/main\n")
    worktree = f"worktree = {repo.folder}/apps/a"
    repo.write("apps/a/config", f"[core]\n\trepositoryformatversion = 0\n\tbare = false\n\t{worktree}\n")
    repo.write("apps/a/objects/info/x", "")
    repo.write("apps/a/refs/heads/x", "")
    worse = (repo.folder / "apps/a/prompts/triage/draft.prompt").read_text().replace("every 1000", "every 1")
    repo.write("apps/a/prompts/triage/draft.prompt", worse)
    repo.commit()

    found = Workspace.open(repo.folder / "apps/a").repository
    done = evalh(repo.folder / "apps/a", "gate", "--base", "main", "--trust", "base")

    assert found is not None
    found.close()
    assert found.top == repo.folder
    assert done.returncode == 1, done.stderr


def test_a_submodule_whose_address_head_chooses_is_no_base(repo: Repo, tmp_path: Path) -> None:
    theirs = Repo(tmp_path / "theirs", cases=5)
    add = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(theirs.folder), "apps")
    repo.git(*add)
    repo.commit()

    done = evalh(repo.folder / "apps", "gate", "--base", "origin/main", "--trust", "base")

    assert done.returncode == 2
    assert "lies in a submodule" in done.stderr


# -- links and pointers, in the work tree and in a commit


SECRET = "AUTHORIZATION: basic c2VjcmV0"


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("prompts/triage/draft.prompt", "../../.git/config"),
        ("prompts/triage/draft.prompt", "../../.env"),
        ("prompts/triage/draft.prompt", "../../.evalh/evalh.db"),
        ("prompts/triage/draft.prompt", "../../evals/triage.yaml"),
        ("prompts/triage/draft.prompt", "../../../outside"),
        ("prompts/triage/draft.prompt", "../one"),
        ("prompts/triage/_part.prompt", "../../.env"),
        ("prompts/triage", "../.git"),
        ("prompts/triage", "../evals"),
        ("datasets/triage.jsonl", "../.env"),
        ("datasets/triage.jsonl", "../evals/triage.yaml"),
        ("datasets", ".git"),
        ("rubrics/tone.md", "../.env"),
        ("media/photo.txt", "../.env"),
        ("media/photo.txt", "../evals/answers.py"),
        ("media", ".git"),
    ],
)
@pytest.mark.parametrize("revision", [None, "HEAD"])
def test_a_link_shows_no_model_what_is_hidden_or_of_another_kind(
    repo: Repo, workspace: Workspace, link: str, target: str, revision: str | None
) -> None:
    repo.write(".gitignore", "__pycache__/\n")
    repo.write(".env", SECRET)
    repo.write("prompts/one", "x")
    (repo.folder / "prompts/one").unlink()
    (repo.folder / "prompts/one").symlink_to("../.env")  # a chain
    place = repo.folder / link
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        place.rename(repo.folder / "old")
    place.unlink(missing_ok=True)
    place.symlink_to(target)
    repo.commit()
    assert workspace.repository is not None
    tree = workspace.tree if revision is None else workspace.repository.tree(revision)
    asked = f"{link}/config" if (repo.folder / link).is_dir() else link

    for ask in (tree.read, tree.exists):
        with pytest.raises(WorkspaceError, match="symbolic link"):
            ask(asked)


def test_a_prompt_that_is_a_link_to_gits_own_file_is_never_sent(repo: Repo) -> None:
    (repo.folder / "prompts/triage/draft.prompt").unlink()
    (repo.folder / "prompts/triage/draft.prompt").symlink_to("../../.git/config")

    for verb in (["check"], ["render", "t-0001"], ["run"], ["gate", "--base", "main"]):
        done = evalh(repo.folder, *verb)
        assert done.returncode == 2
        assert "symbolic link to a hidden file" in done.stdout + done.stderr


@pytest.mark.parametrize("path", [".env", ".git/config", "media/.hidden/x.txt"])
def test_a_rubric_is_not_a_hidden_file(repo: Repo, workspace: Workspace, path: str) -> None:
    repo.write(path, SECRET)

    with pytest.raises(EvalhError, match="hidden"):
        workspace.grader_environment.texts.rubric(path, "evals/triage.yaml:5")


def test_links_inside_a_folder_are_followed(repo: Repo, workspace: Workspace) -> None:
    text = (repo.folder / "prompts/triage/draft.prompt").read_text()
    repo.write("prompts/shared/text", text)
    (repo.folder / "prompts/triage/v1.prompt").symlink_to("../shared/text")
    (repo.folder / "prompts/triage/v2.prompt").symlink_to(repo.folder / "prompts/shared/text")
    repo.commit()
    assert workspace.repository is not None

    assert workspace.tree.read("prompts/triage/v1.prompt").decode() == text
    assert workspace.tree.read("prompts/triage/v2.prompt").decode() == text
    assert workspace.repository.tree("HEAD").read("prompts/triage/v1.prompt").decode() == text


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n"


@pytest.mark.parametrize(("text", "keeper"), [(LFS, "Git LFS"), ("/annex/objects/SHA256E-s5--x.jsonl\n", "git-annex")])
@pytest.mark.parametrize(
    "path",
    [
        "prompts/triage/draft.prompt",
        "datasets/triage.jsonl",
        "datasets/triage.csv",
        "media/photo.txt",
        "reports/baselines/triage/v1.small.jsonl",
    ],
)
def test_a_pointer_is_named_as_one_on_both_sides(
    repo: Repo, workspace: Workspace, path: str, text: str, keeper: str
) -> None:
    repo.write(path, text)
    repo.commit()
    assert workspace.repository is not None

    for tree in (workspace.tree, workspace.repository.tree("HEAD")):
        with pytest.raises(WorkspaceError, match=f"is a pointer: the file itself lies in {keeper}") as caught:
            tree.read(path)
        assert caught.value.hint in ("git lfs pull", "git annex get")


def test_a_dataset_that_is_a_pointer_is_told_by_every_verb(repo: Repo) -> None:
    repo.write("datasets/triage.jsonl", LFS)
    repo.commit()

    for verb in (["check"], ["run"], ["gate", "--base", "main"], ["gate", "--base", "main", "--head", "HEAD"]):
        done = evalh(repo.folder, *verb)
        assert done.returncode == 2
        assert "lies in Git LFS" in done.stdout + done.stderr


def test_a_link_into_git_annex_says_so(repo: Repo) -> None:
    (repo.folder / "datasets/triage.jsonl").unlink()
    (repo.folder / "datasets/triage.jsonl").symlink_to("../.git/annex/objects/x/y/SHA256E-s5--z")

    with pytest.raises(WorkspaceError, match="git-annex"):
        Workspace.open(repo.folder).dataset("triage")


@pytest.mark.parametrize("trust", ["head", "base"])
@pytest.mark.parametrize("place", ["prompts", "rubrics", "évals", ".evalh"])
def test_a_submodule_holds_no_file(repo: Repo, tmp_path: Path, trust: str, place: str) -> None:
    theirs = Repo(tmp_path / "theirs", cases=5)
    shutil.rmtree(repo.folder / place, ignore_errors=True)
    repo.commit("Make room") if place == "prompts" else repo.prompt(wrong=1)
    add = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "-f", str(theirs.folder), place)
    repo.git(*add)
    repo.commit()

    done = evalh(repo.folder, "gate", "--base", "main", "--head", "HEAD", "--trust", trust)

    assert done.returncode == {"prompts": 2, ".evalh": 2}.get(place, 1), done.stderr
    if place == ".evalh":
        assert "git tracks the log (.evalh)" in done.stderr


@pytest.mark.parametrize("verb", [["gate", "--base", "main"], ["check"], ["show"], ["run", "--dry-run"], ["doctor"]])
def test_a_log_that_the_system_will_not_look_at_is_no_bug(repo: Repo, tmp_path: Path, verb: list[str]) -> None:
    repo.prompt(wrong=1)

    done = evalh(repo.folder, *verb, env={**os.environ, "EVALH_STORE": str(tmp_path / ("x" * 300))})

    assert done.returncode in ({0} if "--dry-run" in verb else {2, 4}), done.stderr
    assert "this is a bug" not in done.stderr
    if "--dry-run" not in verb:
        assert "the folder of the log cannot be read: File name too long" in done.stdout + done.stderr
