"""A workspace's prompts: names, versions, references, checks, releases; at any revision."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from evalh.core.errors import EvalhError, NotFound, UsageError, WorkspaceError
from evalh.core.prompt import PromptRef, PromptVersion
from evalh.workspace.files import WorkTree
from evalh.workspace.git import Repository, probe
from evalh.workspace.prompt.prompts import Prompts, frozen_edits
from evalh.workspace.prompt.releases import new, release

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(path: str, text: str) -> None:
        place = tmp_path / "prompts" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    return put


def prompts(root: Path, **live: str) -> Prompts:
    return Prompts(WorkTree(root), "prompts", live)


def problems(found: Prompts) -> list[str]:
    return [str(problem).partition("\n")[0] for problem in found.check_all()]


# -- what there is


def test_prompts_and_versions_are_found_in_order(tmp_path: Path, write: Write) -> None:
    for path in ("triage/v10.prompt", "triage/v2.prompt", "triage/draft.prompt", "triage/v1.prompt"):
        write(path, "x")
    write("support/reply/v1.prompt", "x")
    write("empty/README.md", "x")
    write("_tone.prompt", "x")
    found = prompts(tmp_path)

    assert found.names() == ("support/reply", "triage")
    assert found.versions("triage") == ("v1", "v2", "v10", "draft")
    assert found.newest("triage") == "v10"
    assert found.path("support/reply", "v1") == "prompts/support/reply/v1.prompt"


def test_without_a_prompts_folder_there_are_none(tmp_path: Path) -> None:
    found = prompts(tmp_path)

    assert found.names() == ()
    assert problems(found) == []
    with pytest.raises(NotFound) as caught:
        found.versions("triage")
    assert caught.value.hint == "evalh prompt new triage"


@pytest.mark.parametrize("name", ["", ".", "..", "a/../triage", "/triage", "triage/", "nothing", "triage/v1.prompt"])
def test_a_name_that_is_no_prompt_is_not_found(tmp_path: Path, write: Write, name: str) -> None:
    write("triage/v1.prompt", "x")

    with pytest.raises(NotFound):
        prompts(tmp_path).versions(name)


# -- which version a reference names


@pytest.mark.parametrize(
    ("files", "live", "ref", "version"),
    [
        ("v1 v2 draft", None, "triage", "draft"),
        ("v1 v2 draft", "v1", "triage", "draft"),
        ("v1 v2", "v1", "triage", "v1"),
        ("v1 v9 v10", None, "triage", "v10"),
        ("draft", None, "triage", "draft"),
        ("v1 v2 draft", None, "triage@v1", "v1"),
        ("v1 v2 draft", None, "triage@draft", "draft"),
        ("v1 v2 draft", None, "v2", "v2"),
        ("v1 v2 draft", None, "draft", "draft"),
        ("v1 draft", "draft", "triage", "draft"),
    ],
)
def test_a_reference_names_one_version(
    tmp_path: Path, write: Write, files: str, live: str | None, ref: str, version: str
) -> None:
    for name in files.split():
        write(f"triage/{name}.prompt", name)
    found = prompts(tmp_path, **({"triage": live} if live else {}))

    resolved = found.resolve(PromptRef.parse(ref), "triage")

    assert resolved.version == version
    assert resolved.label == f"triage@{version}"
    assert resolved.sections[0].source == version


def test_what_does_not_exist_is_named_with_what_does(tmp_path: Path, write: Write) -> None:
    write("triage/v1.prompt", "x")
    write("triage/draft.prompt", "x")
    found = prompts(tmp_path)

    with pytest.raises(NotFound, match="no version 'v7' of prompt 'triage'") as version:
        found.resolve(PromptRef.parse("triage@v7"))
    with pytest.raises(NotFound, match="no prompt 'traige'") as prompt:
        found.resolve(PromptRef.parse("traige@v1"))
    with pytest.raises(UsageError, match="v1 does not name a prompt") as nameless:
        found.resolve(PromptRef.parse("v1"))

    assert version.value.hint == "have: v1, draft"
    assert prompt.value.hint == "did you mean 'triage'?"
    assert nameless.value.hint == "prompts: triage"


def test_a_live_version_that_is_not_there_is_an_error(tmp_path: Path, write: Write) -> None:
    write("triage/v1.prompt", "x")
    found = prompts(tmp_path, triage="v3")

    with pytest.raises(NotFound, match="names 'v3' as the live version"):
        found.resolve(PromptRef.parse("triage"))
    assert found.resolve(PromptRef.parse("triage@v1")).version == "v1"


# -- partials


def test_a_prompts_own_partial_comes_before_the_shared_one(tmp_path: Path, write: Write) -> None:
    write("triage/v1.prompt", "{{>tone}} {{>end}}")
    write("_tone.prompt", "shared")
    write("triage/_tone.prompt", "own")
    write("_end.prompt", "end")

    assert prompts(tmp_path).load("triage", "v1").sections[0].source == "own end"


def test_a_missing_partial_names_what_there_is(tmp_path: Path, write: Write) -> None:
    write("triage/v1.prompt", "\n{{>tnoe}}")
    write("_tone.prompt", "shared")

    with pytest.raises(WorkspaceError, match="no partial 'tnoe'") as caught:
        prompts(tmp_path).load("triage", "v1")

    assert caught.value.where == "prompts/triage/v1.prompt:2"
    assert caught.value.hint == "did you mean 'tone'?"


def test_a_partial_has_no_front_matter(tmp_path: Path, write: Write) -> None:
    write("triage/v1.prompt", "{{>tone}}")
    write("_tone.prompt", "---\nmodel: x\n---\nKind.")

    with pytest.raises(WorkspaceError, match="no front matter") as caught:
        prompts(tmp_path).load("triage", "v1")

    assert caught.value.where == "prompts/_tone.prompt:1"


# -- checking


def test_check_reports_every_problem_not_only_the_first(tmp_path: Path, write: Write) -> None:
    write("triage/v1.prompt", "---\nmodle: x\n---\nx")
    write("triage/v2.prompt", "{{#if x}}")
    write("triage/v3.prompt", "fine")
    write("triage/v03.prompt", "x")
    write("triage/final.prompt", "x")
    write("triage/README.md", "x")
    write("triage/_tone.prompt", "x")
    write("triage/.DS_Store", "x")
    write("greet.prompt", "x")
    write("my prompt/v1.prompt", "x")
    found = prompts(tmp_path, gone="v1", triage="v9")

    assert problems(found) == [
        "prompts/greet.prompt: is not a version of a prompt",
        "prompts/my prompt: 'my prompt' cannot be the name of a prompt",
        "prompts/triage/README.md: is not a version of a prompt",
        "prompts/triage/final.prompt: is not a version of a prompt",
        "prompts/triage/v03.prompt: is not a version of a prompt",
        "prompts/triage/v1.prompt:2: unknown key 'modle'",
        "prompts/triage/v2.prompt:1: {{#if x}} is not a slot",
        "prompts/triage: evalh.toml names 'v9' as the live version of prompt 'triage', which does not exist",
        "prompts: evalh.toml names a live version of prompt 'gone', which does not exist",
    ]


def test_a_sound_workspace_has_no_problems(tmp_path: Path, write: Write) -> None:
    write("triage/v1.prompt", "{{>tone}} {{ticket}}")
    write("_tone.prompt", "x")
    write("notes.md", "x")

    assert problems(prompts(tmp_path, triage="v1")) == []


def test_a_binary_file_is_a_problem_not_a_crash(tmp_path: Path, write: Write) -> None:
    write("triage/v1.prompt", "x")
    (tmp_path / "prompts/triage/v2.prompt").write_bytes(b"\x00\xff\xfe")

    (problem,) = prompts(tmp_path).check_all()

    assert isinstance(problem, WorkspaceError)
    assert str(problem.where).startswith("prompts/triage/v2.prompt")


# -- at a revision


@pytest.fixture
def repository(tmp_path: Path, write: Write) -> Repository:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    write("triage/v1.prompt", "{{>tone}} one")
    write("triage/v2.prompt", "two")
    write("triage/draft.prompt", "draft")
    write("_tone.prompt", "kind")
    git("add", "-A")
    git("commit", "-q", "-m", "One")
    found = probe(tmp_path)
    assert found is not None
    return found


def test_a_revision_is_read_whole_partials_too(tmp_path: Path, write: Write, repository: Repository) -> None:
    write("_tone.prompt", "edited")
    write("triage/v1.prompt", "edited")
    there = Prompts(repository.tree("main"), "prompts", {})

    version = there.resolve(PromptRef.parse("main:triage@v1"))

    assert version.sections[0].source == "kind one"
    assert version.label == "main:triage@v1"
    assert version.revision == "main"
    assert there.resolve(PromptRef.parse("main:triage")).version == "draft"
    with pytest.raises(NotFound) as caught:
        there.load("triage", "v9")
    assert caught.value.where == "main:prompts/triage"


def test_the_same_content_has_the_same_digest_in_the_work_tree_and_in_a_commit(
    tmp_path: Path, write: Write, repository: Repository
) -> None:
    there = Prompts(repository.tree("main"), "prompts", {})
    (tmp_path / "prompts/triage/v1.prompt").write_bytes(b"\xef\xbb\xbf{{>tone}} one\r\n")

    assert prompts(tmp_path).load("triage", "v1").digest == there.load("triage", "v1").digest
    assert frozen_edits(there, prompts(tmp_path)) == []


def test_a_frozen_version_may_not_change_or_go(tmp_path: Path, write: Write, repository: Repository) -> None:
    base = Prompts(repository.tree("main"), "prompts", {})
    assert frozen_edits(base, prompts(tmp_path)) == []

    write("triage/draft.prompt", "edited")  # a draft may
    write("triage/v2.prompt", "{{! a note }}two")  # a note is not content
    write("triage/v3.prompt", "new")
    assert frozen_edits(base, prompts(tmp_path)) == []

    write("_tone.prompt", "unkind")  # v1 says something else now
    (tmp_path / "prompts/triage/v2.prompt").unlink()
    edits = frozen_edits(base, prompts(tmp_path))
    assert [(edit.what, edit.where) for edit in edits] == [
        ("triage@v1 is frozen on main and was changed, or a partial of it was", "prompts/triage/v1.prompt"),
        ("triage@v2 is frozen on main and was removed", "prompts/triage/v2.prompt"),
    ]
    assert "git checkout main -- prompts/triage/v2.prompt" in str(edits[1].hint)


def test_a_frozen_pipeline_that_is_gone_is_brought_back_by_its_own_name(
    tmp_path: Path, write: Write, repository: Repository
) -> None:
    write("flow/v1.pipeline.yaml", "steps: {triage: {prompt: triage@v1}}")
    for arguments in (("add", "-A"), ("commit", "-q", "-m", "Two")):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "prompts/flow/v1.pipeline.yaml").unlink()

    (edit,) = frozen_edits(Prompts(repository.tree("main"), "prompts", {}), prompts(tmp_path))

    assert edit.where == "prompts/flow/v1.pipeline.yaml"
    assert edit.hint == "bring it back: git checkout main -- prompts/flow/v1.pipeline.yaml"


def test_a_whole_prompt_may_not_go_either(tmp_path: Path, write: Write, repository: Repository) -> None:
    base = Prompts(repository.tree("main"), "prompts", {})
    (tmp_path / "prompts/triage/v1.prompt").unlink()
    (tmp_path / "prompts/triage/v2.prompt").unlink()

    assert len(frozen_edits(base, prompts(tmp_path))) == 2
    (tmp_path / "prompts/triage/draft.prompt").unlink()
    assert len(frozen_edits(base, prompts(tmp_path))) == 2


def test_breaking_a_frozen_version_is_an_edit(tmp_path: Path, write: Write, repository: Repository) -> None:
    base = Prompts(repository.tree("main"), "prompts", {})
    write("triage/v2.prompt", "{{#if")

    assert [edit.where for edit in frozen_edits(base, prompts(tmp_path))] == ["prompts/triage/v2.prompt"]


# -- releasing


def test_a_release_freezes_the_draft_as_the_next_version(tmp_path: Path, write: Write) -> None:
    draft = "---\ndescription: x # a note\nevalh.why: y\n---\n{{! a note }}\n{{ticket}}\n"
    write("triage/v1.prompt", "one")
    write("triage/v9.prompt", "nine")
    write("triage/draft.prompt", draft)

    path = release(tmp_path, prompts(tmp_path), "triage")

    assert path == tmp_path / "prompts/triage/v10.prompt"
    assert path.read_text() == draft
    found = prompts(tmp_path)
    assert found.versions("triage") == ("v1", "v9", "v10", "draft")
    assert found.load("triage", "v10").digest == found.load("triage", "draft").digest
    assert sorted(entry.name for entry in path.parent.iterdir()) == [
        "draft.prompt",
        "v1.prompt",
        "v10.prompt",
        "v9.prompt",
    ]


def test_the_first_release_is_v1(tmp_path: Path, write: Write) -> None:
    write("triage/draft.prompt", "one")

    assert release(tmp_path, prompts(tmp_path), "triage").name == "v1.prompt"


def test_a_release_writes_partials_out_so_that_editing_one_changes_no_frozen_version(
    tmp_path: Path, write: Write
) -> None:
    write("triage/draft.prompt", '---\nmodel: small\n---\n{{role "system"}}\n{{>tone}}\n{{! why }}\n{{ticket}}\n')
    write("_tone.prompt", "\nBe {{>how}}. {{! note }}\n")
    write("_how.prompt", "kind\n")
    digest = prompts(tmp_path).load("triage", "draft").digest

    path = release(tmp_path, prompts(tmp_path), "triage")
    write("_how.prompt", "rude\n")

    assert path.read_text().startswith('---\nmodel: small\n---\n{{role "system"}}\nBe kind.')
    assert "{{! why }}" in path.read_text()
    assert prompts(tmp_path).load("triage", "v1").digest == digest
    assert prompts(tmp_path).load("triage", "draft").digest != digest


def test_nothing_new_is_not_released(tmp_path: Path, write: Write) -> None:
    write("triage/v1.prompt", "one")
    write("triage/draft.prompt", "---\nevalh.why: other words about the same\n---\none\n")

    with pytest.raises(UsageError, match="is the same as v1"):
        release(tmp_path, prompts(tmp_path), "triage")


@pytest.mark.parametrize("draft", [None, "{{#if", "---\nvariant: draft\n---\nx"])
def test_without_a_sound_draft_nothing_is_released(tmp_path: Path, write: Write, draft: str | None) -> None:
    write("triage/v1.prompt", "one")
    if draft is not None:
        write("triage/draft.prompt", draft)

    with pytest.raises(EvalhError):
        release(tmp_path, prompts(tmp_path), "triage")

    assert not (tmp_path / "prompts/triage/v2.prompt").exists()


def test_a_broken_frozen_version_does_not_stop_a_release(tmp_path: Path, write: Write) -> None:
    write("triage/v1.prompt", "{{#if")
    write("triage/draft.prompt", "x")

    assert release(tmp_path, prompts(tmp_path), "triage").name == "v2.prompt"


def test_two_releases_at_once_never_replace_one_another(tmp_path: Path, write: Write) -> None:
    write("triage/draft.prompt", "mine")

    class Late(Prompts):
        def parse(self, name: str, version: str, text: str, path: str) -> PromptVersion:
            if version == "v1":
                write("triage/v1.prompt", "theirs")
            return super().parse(name, version, text, path)

    with pytest.raises(UsageError, match="exists already"):
        release(tmp_path, Late(WorkTree(tmp_path), "prompts", {}), "triage")

    assert (tmp_path / "prompts/triage/v1.prompt").read_text() == "theirs"
    assert sorted(entry.name for entry in (tmp_path / "prompts/triage").iterdir()) == ["draft.prompt", "v1.prompt"]


def test_a_new_prompt_is_a_draft(tmp_path: Path) -> None:
    path = new(tmp_path, prompts(tmp_path), "support/reply", "---\r\nmodel: small\r\n---\r\nHello {{name}}.\r\n")

    assert path == tmp_path / "prompts/support/reply/draft.prompt"
    assert path.read_bytes() == b"---\nmodel: small\n---\nHello {{name}}.\n"
    assert prompts(tmp_path).resolve(PromptRef.parse("support/reply")).variables == {"name"}
    with pytest.raises(UsageError, match="is there"):
        new(tmp_path, prompts(tmp_path), "support/reply", "x")


@pytest.mark.parametrize(
    ("name", "text"), [("a b", "x"), ("../a", "x"), ("a/../b", "x"), ("a//b", "x"), ("ok", "{{#if")]
)
def test_a_bad_new_prompt_is_not_written(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(EvalhError):
        new(tmp_path, prompts(tmp_path), name, text)

    assert list(tmp_path.rglob("*.prompt")) == []


def test_a_folder_that_cannot_be_written_is_an_error_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "prompts").write_text("a file where the folder should be")

    with pytest.raises(UsageError, match="cannot write"):
        new(tmp_path, prompts(tmp_path), "triage", "x")
