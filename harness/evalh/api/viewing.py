"""What `evalh view` looks at: the log, opened again for every look and never written, and reports that are kept."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from evalh.analysis.summary import so_far
from evalh.api import matrix, report
from evalh.api.compare import of_saved
from evalh.api.judges import standings_of
from evalh.api.parts import Parts
from evalh.api.production import poisoned, production, with_grades
from evalh.core.errors import NotFound
from evalh.core.log import RunRow, UnderWay
from evalh.report.documents.gate import kept_gate
from evalh.report.html.matrix_data import MatrixRows

if TYPE_CHECKING:
    from evalh.core.production import WorkflowDetail, WorkflowList, WorkflowQuery
    from evalh.store import Reader
    from evalh.store.log_reader import LogReader
    from evalh.store.production import ProductionReader
    from evalh.store.reader import Overview

SHOWN = 1000
_KEPT_BYTES = 96_000_000


class Kept:
    """Pages that were built, by what they are about; one is built by one thread, and again when its state differs."""

    def __init__(self, most_bytes: int = _KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._building: dict[str, threading.Lock] = {}
        self._pages: OrderedDict[str, tuple[object, bytes]] = OrderedDict()

    def get(self, name: str, state: object, build: Callable[[], bytes]) -> bytes:
        """Return the page called `name` as it is in this state."""
        with self._lock:
            building = self._building.setdefault(name, threading.Lock())
        with building:
            with self._lock:
                found = self._pages.get(name)
                if found is not None and found[0] == state:
                    self._pages.move_to_end(name)
                    return found[1]
            body = build()
            self._keep(name, state, body)
            return body

    def _keep(self, name: str, state: object, body: bytes) -> None:
        with self._lock:
            self._pages.pop(name, None)
            self._pages[name] = (state, body)
            while len(self._pages) > 1 and sum(len(page) for _, page in self._pages.values()) > self._most_bytes:
                self._pages.popitem(last=False)


class KeptCells:
    """The cells of the matrix that was read last, which the page is built of again when only other runs came."""

    def __init__(self) -> None:
        self._last: MatrixRows | None = None

    def of(self, looking: Parts, runs: Sequence[RunRow]) -> MatrixRows:
        """Return the cells of these runs. A run that goes on is read each time."""
        last = self._last  # one assignment, one read: threads may only build twice
        if last is not None and list(last.runs) == list(runs) and all(run.finished_at is not None for run in runs):
            return last
        self._last = rows = matrix.rows_of(looking, runs, linked=True)
        return rows


class LiveLog(Struct):
    """A workspace seen from outside, by several threads at once."""

    parts: Parts
    _kept: Kept = field(default_factory=Kept)
    _cells: KeptCells = field(default_factory=KeptCells)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _merging: threading.Lock = field(default_factory=threading.Lock)
    _readers: "set[LogReader]" = field(default_factory=set)
    _closed: bool = False

    def mend(self) -> None:
        """Bring an older log up to date and close what `kill -9` left, as every other command does; then only read."""
        with suppress(NotFound):
            self.parts.log.close()

    @property
    def name(self) -> str:
        """What a person calls the workspace."""
        return self.parts.root.resolve().name

    def stamp(self) -> object:
        """Return what differs as soon as anything was written to the log."""
        from evalh.store.database import stamp

        return stamp(self.parts.store_folder)

    def overview(self) -> "Overview":
        """Return what the log holds. Raises NotFound if nothing was run yet, EvalhError."""
        with self.looking() as looking:
            log = looking.log
            found = log.overview(SHOWN)
            runs, added = ([log.as_it_is(run) for run in runs] for runs in (found.runs, found.added))
            return replace(found, runs=runs, added=added)

    def under_way(self) -> list[UnderWay]:
        """Return the runs whose processes live, with their numbers so far. Raises EvalhError."""
        with self.looking() as looking:
            log = looking.log
            alive = [run for run in log.running() if log.alive(run.record.id)]
            return [so_far(run, log.case_tallies(run.record.id)) for run in alive]

    def run(self, run_id: str) -> RunRow:
        """Return a run. Raises NotFound, EvalhError."""
        with self.looking() as looking:
            return _exactly(looking.log, run_id)

    def report(self, kind: str, id_: str) -> bytes:
        """Return the page that `evalh report ID` writes, of a run, comparison or gate. Raises NotFound, EvalhError."""
        with self.looking() as looking:
            state = _STATES[kind](looking, id_)
            return self._kept.get(id_, state, lambda: report.page(looking, [id_], linked=True).encode())

    def matrix(self, suite: str | None, run_ids: Sequence[str]) -> bytes:
        """Return the page of runs side by side: a suite's newest, or these. Raises NotFound, UsageError, EvalhError."""
        with self.looking() as looking:
            runs = matrix.newest(looking, suite) if suite is not None else matrix.runs_of(looking, run_ids)
            state = [_of_head(looking, run) for run in runs]
            name = f"matrix {' '.join(run.record.id for run in runs)}"
            cells = self._cells
            return self._kept.get(name, state, lambda: matrix.page_of(looking, cells.of(looking, runs)).encode())

    def compared(self, base: str, head: str) -> bytes:
        """Return the page of a comparison of two runs; nothing is written. Raises NotFound, EvalhError."""
        with self.looking() as looking:
            runs = _exactly(looking.log, base), _exactly(looking.log, head)
            state = [_of_head(looking, run) for run in runs]
            name = f"compare {base} {head}"

            def build() -> bytes:
                return report.comparison_page(looking, of_saved(looking, *runs), linked=True).encode()

            return self._kept.get(name, state, build)

    def workflows(self, query: "WorkflowQuery", limit: int, offset: int) -> "WorkflowList":
        """Return a part of the workflows that were traced. Raises NotFound if nothing was, EvalhError."""
        with suppress(NotFound), self.looking() as looking:
            query = replace(query, poisoned=poisoned(looking))
        with self._production() as reader:
            return reader.listed(query, limit=limit, offset=offset)

    def workflow(self, workflow_id: str) -> "WorkflowDetail":
        """Return one workflow whole. Raises NotFound, EvalhError."""
        with self._production() as reader:
            detail = reader.detail(workflow_id)
        with suppress(NotFound), self.looking() as looking:
            return with_grades(looking, detail)
        return detail

    @contextmanager
    def looking(self) -> "Iterator[Parts]":
        """Open the workspace as it is now, with a log that is read only. Raises EvalhError.

        Without a log it is open too: a case of production needs none, and what reads the log raises NotFound.
        """
        looking = self.parts.read_only()
        log = None
        with suppress(NotFound):
            log = looking.log
        if log is None:
            yield looking
            return
        with self._reading(log):
            yield looking

    @contextmanager
    def _production(self) -> "Iterator[ProductionReader]":
        # A program that runs writes lines to a file of its own, and a person who watches it expects its workflows
        # here. So the viewer does what every verb that reads production does first: it takes the lines over, where the
        # folder is writable. The log of tests is not written. Who comes while another page merges reads what is there.
        looking = self.parts.read_only()
        looking.mends = self._merging.acquire(blocking=False)
        try:
            reader = production(looking)
        finally:
            if looking.mends:
                self._merging.release()
        with self._reading(reader):
            yield reader

    @contextmanager
    def _reading(self, reader: "LogReader") -> Iterator[None]:
        with self._lock:
            self._readers.add(reader)
            closed = self._closed
        try:
            if closed:
                raise NotFound("the viewer is stopping")
            yield
        finally:
            with self._lock:
                self._readers.discard(reader)
            reader.close()

    def close(self) -> None:
        """Let whatever is being read end now: nobody waits for it any more."""
        with self._lock:
            self._closed = True
            for reader in self._readers:
                reader.interrupt()


def _exactly(log: "Reader", run_id: str) -> RunRow:
    found = log.run(run_id)
    if found.record.id != run_id:
        raise NotFound(f"no run {run_id!r} in the log")
    return found


def _of_run(looking: Parts, run_id: str) -> object:
    return _of_head(looking, _exactly(looking.log, run_id))


def _of_comparison(looking: Parts, comparison_id: str) -> object:
    found = looking.log.comparison(comparison_id)
    if found is None:
        raise NotFound(f"no comparison {comparison_id!r} in the log")
    head = None
    if found.head_run is not None:
        with suppress(NotFound):
            head = looking.log.run(found.head_run)
    return _of_head(looking, head, found.suite)


def _of_gate(looking: Parts, gate_id: str) -> object:
    found = looking.log.gate(gate_id)
    if found is None:
        raise NotFound(f"no gate {gate_id!r} in the log")
    # The decision stays; the runs whose samples it shows may go.
    return [looking.log.suite_state(suite.suite) for suite in kept_gate(found).suites]


def _of_head(looking: Parts, run: RunRow | None, suite: str = "") -> object:
    # A report weighs its run against the others of the suite, says where prices come from now, and which judges are
    # calibrated now.
    config = (looking.root / "evalh.toml").stat()
    judges = () if run is None else standings_of(looking.tree, run.record)
    runs = looking.log.suite_state(suite if run is None else run.record.suite)
    status = None if run is None else run.status  # a process that is gone leaves its row as it was
    return (runs, status, judges, config.st_mtime_ns, config.st_size)


_STATES: Mapping[str, Callable[[Parts, str], object]] = {
    "run": _of_run,
    "comparison": _of_comparison,
    "gate": _of_gate,
}
"""What a kept page rests on: when it differs, the page is built again. Each raises NotFound."""
