"""What every test may rely on: only loopback is reachable, and no user's settings leak in."""

import gc
import os
import socket
import sys
from collections.abc import Generator, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is not a counterexample. CI uses the same examples each time, so that a red run means a change.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# Where bytecode is not kept, each of the many commands that tests start would compile the whole program again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

REAL_DATA = os.environ.get("EVALH_REAL_DATA")


def pytest_xdist_auto_num_workers() -> int:
    """Use half as many processes again as there are cores: many tests wait, for a server, a timeout, a retry."""
    cores = os.cpu_count() or 2
    return cores + cores // 2


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the collector of garbage off the many modules and tests that stay until the end: each look costs a second."""
    gc.disable()
    result = yield
    gc.freeze()
    gc.enable()
    return result


@pytest.fixture(autouse=True)
def _only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] != "localhost" and not ip_address(address[0]).is_loopback:
            raise AssertionError(f"a test tried to reach {address[0]}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


_KEPT_BY_TOOLS = frozenset(
    {".benchmarks", ".coverage", ".hypothesis", ".import_linter_cache", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
)


@pytest.fixture(autouse=True)
def _leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """A file with a relative name would lie in the repository: a test writes into its own folder."""
    here = Path.cwd()
    before = {one.name for one in here.iterdir()}
    yield
    new = {one.name for one in here.iterdir()} - before - _KEPT_BY_TOOLS
    assert not new, f"{request.node.nodeid}, or a test beside it, left in {here}: {', '.join(sorted(new))}"


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    keys = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
    for name in (*keys, "NO_COLOR", "EVALH_DEBUG", "EVALH_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@localhost")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of recorded outputs of real models; the test is skipped where it is not given."""
    if not REAL_DATA:
        pytest.skip("EVALH_REAL_DATA is not set")
    return Path(REAL_DATA).resolve()
