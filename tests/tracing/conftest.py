"""Each test has a store of its own; the tracer is the process's."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evalh_trace import configure, flush
from evalh_trace.tracer import TRACER
from tracing.model_server import ModelServer, Recorded, model_server


@pytest.fixture(name="served", scope="module")
def _served() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture(name="server")
def _server(served: ModelServer) -> ModelServer:
    served.planned.clear()
    served.asked.clear()
    return served


@pytest.fixture(name="store", autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("EVALH_TRACE_STORE", raising=False)
    TRACER.options = {}
    store = tmp_path / "store"
    configure(store=store, content=True)
    yield store
    flush(20)
    TRACER.options = {}


@pytest.fixture(name="recorded")
def _recorded(store: Path) -> Callable[[], Recorded]:
    def read() -> Recorded:
        flush(20)
        return Recorded(store)

    return read
