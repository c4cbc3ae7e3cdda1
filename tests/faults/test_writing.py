"""Files that are written where a user names them: whole or not at all, through no link, and never an old one."""

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from command_line import CommandLine, Done
from evalh.core.errors import CannotMeasure, UsageError
from evalh.workspace import writing
from evalh.workspace.writing import new_file
from gating import Repo
from workspaces import write_workspace

GATE = ("gate", "--base", "main", "--comment", "c.md", "--junit", "j.xml", "--report", "p.html")
OLD = "accept, said yesterday\n"
KEYED = 'provider = "openai"\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"\napi_key_env = "THE_KEY"\nprice = {input = 1, output = 1}\n'


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, evalh: CommandLine) -> Path:
    """A workspace in which two versions were run and compared."""
    folder = write_workspace(tmp_path_factory.mktemp("used"), cases=4)
    other = (folder / "prompts/triage/v1.prompt").read_text().replace("Sort", "Rank")
    (folder / "prompts/triage/v2.prompt").write_text(other)
    assert evalh(folder, "compare", "v1", "v2").code in {0, 3}
    return folder


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A repository whose change breaks the prompt: a gate of it refuses."""
    made = Repo(tmp_path / "repo", cases=60, wrong=20)
    made.prompt(1)
    made.commit()
    return made


def gate(evalh: CommandLine, repo: Repo, *more: str, **how: object) -> Done:
    return evalh(repo.folder, *GATE, *more, cwd=str(repo.folder), **how)


def leave_old(repo: Repo) -> list[Path]:
    files = [repo.folder / name for name in ("c.md", "j.xml", "p.html")]
    for file in files:
        file.write_text(OLD)
    return files


# -- an old answer is never taken for that of a run that gave none


@pytest.mark.parametrize(
    "more",
    [["--no-such-option"], ["--budget", "nan"], ["--trust", "nobody"], ["no-such-suite"], ["--base", "no-such-rev"]],
    ids=" ".join,
)
def test_a_gate_that_fails_leaves_no_old_answer(evalh: CommandLine, repo: Repo, more: list[str]) -> None:
    files = leave_old(repo)

    done = gate(evalh, repo, *more)

    assert done.code == 2
    assert all(not file.exists() or "accept" not in file.read_text() for file in files)


def test_the_same_holds_where_the_option_is_written_with_an_equals_sign(evalh: CommandLine, repo: Repo) -> None:
    leave_old(repo)

    evalh(repo.folder, "--nonsense", "gate", "--comment=c.md", "--junit=j.xml", cwd=str(repo.folder))

    assert not (repo.folder / "c.md").exists()
    assert not (repo.folder / "j.xml").exists()


def test_a_workspace_that_cannot_be_read_is_told_in_comment_and_junit(evalh: CommandLine, repo: Repo) -> None:
    leave_old(repo)
    repo.write("evalh.toml", "[models\n")

    done = gate(evalh, repo)

    assert done.code == 2
    comment = (repo.folder / "c.md").read_text()
    assert "evalh gate: not decided" in comment
    assert comment.count("evalh.toml:") == 1
    assert r"\\n" not in comment
    assert 'errors="1"' in (repo.folder / "j.xml").read_text()


def test_a_gate_that_is_killed_leaves_no_old_answer(repo: Repo) -> None:
    files = leave_old(repo)
    repo.write("evals/answers.py", "import time\ndef answer(request, case_id, trial):\n    time.sleep(600)\n")
    command = [sys.executable, "-m", "evalh", *GATE]
    process = subprocess.Popen(command, cwd=repo.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    gone = threading.Event()
    while any(file.exists() for file in files) and process.poll() is None:
        gone.wait(0.02)
    process.kill()
    process.wait(10)

    assert not any(file.exists() for file in files)


@pytest.mark.parametrize("verb", [["run"], ["compare", "v1", "v2"]], ids=" ".join)
def test_the_page_beside_another_verbs_answer_is_no_old_one(used: Path, evalh: CommandLine, verb: list[str]) -> None:
    page = used / "page.html"
    page.write_text(OLD)

    done = evalh(used, *verb, "--report", "page.html", "--budget", "nan", cwd=str(used))

    assert done.code == 2
    assert not page.exists()


def test_an_answer_that_is_a_file_stays_until_a_new_one_is_whole(used: Path, evalh: CommandLine) -> None:
    kept = used / "kept.jsonl"
    kept.write_text(OLD)

    assert evalh(used, "export", "recorded", "no-such-run", "-o", str(kept)).code == 2
    assert evalh(used, "report", "no-such-run", "-o", str(kept)).code == 2
    assert kept.read_text() == OLD


# -- links


@pytest.mark.parametrize("option", ["--comment", "--junit", "--report"])
def test_a_link_under_the_name_is_taken_away_and_refused(evalh: CommandLine, repo: Repo, option: str) -> None:
    secret = repo.folder / ".git/config"
    before = secret.read_text()
    (repo.folder / "planted").symlink_to(".git/config")

    done = evalh(repo.folder, "gate", "--base", "main", option, "planted", cwd=str(repo.folder))

    assert done.code == 2
    assert "evalh does not write through links" in done.err
    assert not os.path.lexists(repo.folder / "planted")
    assert secret.read_text() == before


@pytest.mark.parametrize(
    "verb",
    [
        ["report", "-o"],
        ["report", "--format", "csv", "-o"],
        ["export", "recorded", "-o"],
        ["run", "--report"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("way", ["name", "folder"])
def test_no_verb_writes_through_a_link_of_the_workspace(
    used: Path, evalh: CommandLine, tmp_path: Path, verb: list[str], way: str
) -> None:
    aim = tmp_path / "aim"
    aim.mkdir()
    (aim / "file").write_text(OLD)
    link = used / "planted"
    link.unlink(missing_ok=True)
    link.symlink_to(aim / "file" if way == "name" else aim)

    done = evalh(used, *verb, "planted" if way == "name" else "planted/file", cwd=str(used))

    assert done.code == 2, done
    assert "evalh does not write through links" in done.err
    assert (aim / "file").read_text() == OLD
    assert [one.name for one in aim.iterdir()] == ["file"]


def test_a_figure_a_baseline_a_release_and_a_ci_file_go_through_no_link(
    used: Path, evalh: CommandLine, tmp_path: Path
) -> None:
    aim = tmp_path / "aim"
    aim.mkdir()
    (used / "reports").symlink_to(aim)
    (used / ".gitlab").symlink_to(aim)
    (used / "prompts/linked").symlink_to(aim)
    (used / "tradeoff.svg").symlink_to(aim / "x.svg")
    try:
        for verb in (
            ["baseline", "accept", "v1"],
            ["ci", "init", "gitlab"],
            ["prompt", "new", "linked/one"],
            ["report", "--figure", "tradeoff.svg"],
        ):
            assert evalh(used, *verb, cwd=str(used)).code == 2, verb
        assert list(aim.iterdir()) == []
    finally:
        for link in ("reports", ".gitlab", "prompts/linked", "tradeoff.svg"):
            (used / link).unlink()


def test_a_machines_own_links_are_followed(used: Path, evalh: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    assert evalh(used, "report", "-o", str(tmp_path / "link/r.html")).code == 0
    assert (tmp_path / "real/r.html").stat().st_size > 1000


def test_devices_pipes_and_standard_streams_are_written_to(used: Path, evalh: CommandLine, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()

    assert evalh(used, "export", "recorded", "-o", str(pipe)).code == 0
    reader.join(20)
    told = evalh(used, "export", "recorded", "-o", "/dev/stdout")
    assert evalh(used, "report", "-o", "/dev/null").code == 0
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert told.out.startswith(read[0].decode())
    assert evalh(used, "report", "--format", "csv", "-o", "/dev/stderr").err.startswith("case,")
    assert evalh(used, "report", "--format", "csv", "-o", "/dev/full").code == 4


# -- disks


VERBS = [
    ["report", "-o", "OUT/r.html"],
    ["report", "--format", "junit", "-o", "OUT/r.xml"],
    ["report", "--figure", "OUT/fails.svg"],
    ["export", "recorded", "-o", "OUT/r.jsonl"],
    ["export", "recorded", "-o", "OUT/r.jsonl.gz"],
    ["run", "--report", "OUT/r.html"],
    ["compare", "v1", "v2", "--report", "OUT/r.html"],
    ["baseline", "accept", "v1"],
    ["ci", "init", "github"],
    ["prompt", "release", "triage"],
    ["prompt", "new", "another"],
    ["init", "OUT/new"],
]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_full_disk_ends_a_verb_with_words_and_leaves_nothing(
    used: Path, evalh: CommandLine, tmp_path: Path, verb: list[str]
) -> None:
    """A limit on a file's size stands for the disk: the write fails in the middle, as on a full one."""
    import shutil

    folder = tmp_path / "w"
    shutil.copytree(used, folder, ignore=lambda _, names: [one for one in names if one == "live"])
    (folder / "prompts/triage/draft.prompt").write_text(
        (folder / "prompts/triage/v1.prompt").read_text().replace("Sort", "Try")
    )
    (folder / "OUT").mkdir()
    before = contents(folder)
    command = [sys.executable, "-c", CHILD, "-C", str(folder), *verb]

    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode in {2, 4}, done
    assert "File too large" in done.stderr, done.stderr
    assert "bug" not in done.stderr
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files there, without the log and compiled files."""
    return {
        str(one.relative_to(folder)): one.read_bytes()
        for one in folder.rglob("*")
        if one.is_file() and not {".evalh", "__pycache__"} & set(one.parts)
    }


# The limit holds for new files of the workspace alone: the log has its own tests.
CHILD = """
import os, sys
import evalh.workspace.writing as writing
from errno import EFBIG
real = os.fsync
def full(descriptor):
    raise OSError(EFBIG, os.strerror(EFBIG))
writing.os = type("full", (), {**{k: getattr(os, k) for k in dir(os)}, "fsync": staticmethod(full)})
sys.argv = ["evalh", *sys.argv[1:]]
from evalh.cli import main
main()
"""


def test_a_real_limit_in_the_middle_of_a_write_is_told(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text(OLD)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(CannotMeasure, match="File too large") as told, new_file(target) as file:
            file.writelines([b"x" * 1000] * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)

    assert told.value.exit_code == 4
    assert "make room" in str(told.value)
    assert target.read_text() == OLD
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.getuid() != 0, reason="needs a user to become")
@pytest.mark.parametrize("verb", [one for one in VERBS if "OUT" in one[-1]], ids=" ".join)
def test_a_folder_that_may_not_be_written_is_told(
    used: Path, evalh: CommandLine, tmp_path: Path, verb: list[str]
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o755)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.getuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    arguments = [one.replace("OUT", str(closed)) for one in verb]

    done = evalh(used, *arguments, uid=65534, cwd="/")

    assert done.code in {2, 4}, done
    assert "bug" not in done.err
    assert list(closed.iterdir()) == []


# -- kills


KILLED = """
import sys, time
from pathlib import Path
from evalh.interop.recording import write
import evalh.workspace.writing as writing
if sys.argv[2] == "named":
    del writing.os.O_TMPFILE
def rows():
    for number in range(100_000):
        if number == 50_000:
            print("half", flush=True)
            time.sleep(600)
        yield {"id": number, "output": "x" * 100}
write(rows(), Path(sys.argv[1]))
"""


def kill_in_the_middle(target: Path, kind: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(target), kind], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    process.kill()
    process.communicate(timeout=10)


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="no files without a name here")
def test_a_killed_export_leaves_no_file(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text(OLD)

    kill_in_the_middle(target, "nameless")

    assert target.read_text() == OLD
    assert list(tmp_path.iterdir()) == [target]


def test_where_files_have_names_the_next_export_takes_over_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text(OLD)

    kill_in_the_middle(target, "named")
    assert target.read_text() == OLD
    monkeypatch.setattr(writing, "_nameless", lambda target, replace: None)
    with new_file(target) as file:
        file.write(b"new")

    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_two_that_write_the_same_file_leave_one_of_them_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    texts = [bytes([number]) * 200_000 for number in range(65, 73)]

    def write(text: bytes) -> None:
        for _ in range(20):
            with new_file(target) as file:
                file.write(text)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert target.read_bytes() in texts
    assert list(tmp_path.iterdir()) == [target]


def test_who_may_read_a_file_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text(OLD)
    target.chmod(0o600)
    with new_file(target) as file:
        file.write(b"new")

    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_name_that_is_too_long_or_a_folders_is_refused(tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / ("x" * 256), tmp_path / "a" / ".." / ".." / tmp_path.name):
        with pytest.raises(UsageError, match="cannot write"), new_file(target) as file:
            file.write(b"new")


# -- forks


def test_without_a_key_a_gate_says_in_comment_and_junit_what_a_maintainer_does_next(
    evalh: CommandLine, repo: Repo
) -> None:
    repo.git("checkout", "-q", "main")
    toml = (repo.folder / "evalh.toml").read_text().partition("[models.small]")[0]
    repo.write("evalh.toml", f"{toml}[models.small]\n{KEYED}")
    repo.commit()
    repo.git("checkout", "-q", "-b", "change2")
    repo.prompt(3)
    repo.commit()
    leave_old(repo)
    clean = {name: value for name, value in os.environ.items() if name != "THE_KEY"}

    for env in (clean, {**clean, "THE_KEY": ""}):
        done = gate(evalh, repo, "--head", "HEAD", "--trust", "base", env=env)
        comment, junit = ((repo.folder / name).read_text() for name in ("c.md", "j.xml"))

        assert done.code == 4, done
        assert "THE\\_KEY is not set" in comment
        assert "Run workflow" in comment
        assert "accept" not in comment
        assert 'tests="1" failures="0" errors="1"' in junit
        assert "Run workflow" in junit
        assert "Run workflow" in done.err
        assert not (repo.folder / "p.html").exists()
    document = gate(evalh, repo, "--head", "HEAD", "--trust", "base", "--json", env=clean)
    assert document.document["error"]["exit"] == 4


def test_a_comment_that_cannot_be_written_hides_no_decision(evalh: CommandLine, repo: Repo) -> None:
    done = evalh(
        repo.folder, "gate", "--base", "main", "--comment", "/dev/full", "--junit", "j.xml", cwd=str(repo.folder)
    )

    assert done.code == 1
    assert "refuse" in done.out
    assert "/dev/full: cannot write" in done.err
    assert "failure" in (repo.folder / "j.xml").read_text()
