"""What the store costs a run: CPU per case, the caller's share, how long an answer waits to be durable, and memory.

A case is what a plain suite writes: one search for an earlier answer, one attempt (begun and ended), one call, one
sample, two verdicts. By default cases come at the pace of 256 requests in flight at 100 ms; `--pace 0`: as fast as
they can be handed over.

    python benchmarks/store_writes.py --cases 10000
    python benchmarks/store_writes.py --cases 200000 --pace 0
"""

import argparse
import resource
import sqlite3
import tempfile
import threading
import time
from collections import Counter, deque
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

from evalh.core.attempt import AttemptEnd, AttemptStart, Call, CallKey, Completion, Usage
from evalh.core.case import Case
from evalh.core.request import Message, Request, Role, Settings
from evalh.core.run import Estimate, Fingerprint, RunRecord, RunStatus, RunSummary
from evalh.core.sample import Graded, Sample, Standing
from evalh.core.verdict import Verdict
from evalh.store import SqliteStore, open_store

RUN = "r20260728-101500-3f9c2e"
SETTINGS = Settings(model="bench-1", sent_to={"provider": "openai"}, params={"temperature": 0, "max_tokens": 24})
SYSTEM = "You sort support tickets. Answer with JSON: billing, bug, account, feature or shipping. " * 4
BODY = '{"id": "chatcmpl-123", "object": "chat.completion", "choices": [{"index": 0, "message": {}}]}' * 6
TICK_S = 0.0125
IN_FLIGHT = 256
UNKNOWN = Estimate(None, None, None, "none")


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def record(planned: int) -> RunRecord:
    digest = "sha256:" + "0" * 64
    return RunRecord(
        id=RUN, suite="triage", prompt="triage@v3", model="bench", model_sent="bench-1", trials=1, planned=planned,
        fingerprint=Fingerprint(prompt=digest, dataset=digest, graders=digest, model=digest, route=digest),
        started_at=time.time(), settings_document=SETTINGS.document(),
    )  # fmt: skip


def summary(cases: int) -> RunSummary:
    return RunSummary(
        samples=cases, good=cases, bad=0, ungraded=0, good_rate=UNKNOWN, cost_usd=Decimal(1), cached_cost_usd=Decimal(),
        judge_cost_usd=Decimal(), cost_per_good_usd=UNKNOWN, latency_p50_ms=100.0, latency_p95_ms=100.0, calls=cases,
        attempts=cases, cache_hits=0, graders=(),
    )  # fmt: skip


def case(number: int) -> Case:
    ticket = f"Order {number} was charged twice on my card, please refund one of the two payments."
    return Case(f"t-{number:07d}", {"ticket": ticket}, {"label": "billing"}, frozenset({"short"}))


def begun(number: int, one: Case) -> AttemptStart:
    request = Request(
        (Message.of(Role.SYSTEM, SYSTEM), Message.of(Role.USER, one.inputs["ticket"])), SETTINGS, "sha256:0"
    )
    request.digest()  # the engine's work, before it asks the store
    call = Call(id=f"{RUN}:{number}", run_id=RUN, key=CallKey(one.id), request=request)
    return AttemptStart(
        id=f"{call.id}.1",
        call=call,
        request=request,
        number=1,
        model="bench",
        provider="openai",
        started_at=time.time(),
    )


def ended(start: AttemptStart, one: Case, number: int) -> tuple[AttemptEnd, Sample]:
    completion = Completion(
        text='{"label": "billing"}', usage=Usage(312, 9, 0, 0), latency_ms=100.4, model="bench-1-2026",
        request_id=f"req_{number:024d}", raw=BODY,
    )  # fmt: skip
    start.call.attempts, cost = 1, Decimal("0.000096")
    start.call.cost_usd = cost
    verdicts = (
        Graded("schema", True, Verdict.check(True, "fits the schema")),
        Graded("equals", True, Verdict.check(True, "label is billing")),
    )
    sample = Sample(
        case=one, case_index=number, trial=0, standing=Standing.GOOD, verdicts=verdicts, call_id=start.call.id,
        attempt_id=start.id, completion=completion, cost_usd=cost, attempts=1,
    )  # fmt: skip
    return AttemptEnd(start=start, latency_ms=100.4, completion=completion, cost_usd=cost), sample


class Lag(threading.Thread):
    """Follows one answer after the other from hand-over until another connection can read it."""

    def __init__(self, database: Path) -> None:
        super().__init__(daemon=True)
        self.waits: list[float] = []
        self._database = database
        self._followed: tuple[str, float] | None = None
        self._done = False

    def handed_over(self, attempt_id: str, now: float) -> None:
        if self._followed is None:
            self._followed = (attempt_id, now)

    def run(self) -> None:
        with closing(sqlite3.connect(self._database)) as connection:
            while not self._done:
                time.sleep(0.001)
                if self._followed is None:
                    continue
                attempt_id, since = self._followed
                query = "select 1 from attempts where id = ? and status = 'ok'"
                if connection.execute(query, (attempt_id,)).fetchone():
                    self.waits.append(time.monotonic() - since)
                    self._followed = None

    def stop(self) -> str:
        self._done = True
        self.join()
        waits = sorted(1000 * wait for wait in self.waits)
        p99 = waits[int(len(waits) * 0.99)]
        return f"median {waits[len(waits) // 2]:.0f} ms, 99 % within {p99:.0f} ms, longest {waits[-1]:.0f} ms"


class Spent:
    """CPU seconds of this thread, by what it did."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    @contextmanager
    def on(self, what: str):
        began = time.thread_time()
        yield
        self.seconds[what] += time.thread_time() - began


def drive(store: SqliteStore, cases: int, pace: float, lag: Lag | None) -> Spent:
    """Play the engine's part: a tick asks for some cases and ends as many that fly."""
    spent = Spent()
    flying: deque[tuple[int, Case, AttemptStart]] = deque()
    number, next_tick = 0, time.monotonic()
    step = max(1, int(pace * TICK_S)) if pace else 32
    while number < cases or flying:
        with spent.on("making"):
            asked = range(number, min(number + step, cases))
            starts = [(n, one, begun(n, one)) for n, one in ((n, case(n)) for n in asked)]
            number += len(starts)
        with spent.on("finding"):
            for _, _, start in starts:
                store.find(start.call.request.digest(), start.call.key)
        with spent.on("handing"):
            for _, _, start in starts:
                store.begin(start)
        flying.extend(starts)
        with spent.on("making"):
            due = max(0, len(flying) - IN_FLIGHT) if number < cases else len(flying)
            ends = [(start, *ended(start, one, n)) for n, one, start in (flying.popleft() for _ in range(due))]
        if lag is not None and ends:
            lag.handed_over(ends[0][0].id, time.monotonic())
        with spent.on("handing"):
            for start, end, sample in ends:
                store.end(end)
                store.add_sample(RUN, sample, start.call)
        if pace:
            next_tick += TICK_S
            time.sleep(max(0.0, next_tick - time.monotonic()))
    return spent


def run(folder: Path, cases: int, pace: float, *, watch: bool) -> None:
    store = open_store(folder, clock=SystemClock())
    store.start_run(record(cases))
    lag = Lag(folder / "evalh.db") if watch else None
    if lag is not None:
        lag.start()
    cpu, own, wall = time.process_time(), time.thread_time(), time.monotonic()
    seconds = drive(store, cases, pace, lag).seconds
    store.finish_run(RUN, RunStatus.COMPLETE, summary(cases), None)
    behind = time.process_time() - cpu - (time.thread_time() - own)  # all threads but this one
    wall = time.monotonic() - wall
    waits = "" if lag is None else lag.stop()
    store.close()
    per = 1e6 / cases
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{cases:,} cases in {wall:.1f} s")
    if watch:  # watching costs CPU too
        print(f"  an answer is durable: {waits}")
        return
    print(f"  find, a miss                {seconds['finding'] * per:6.1f} µs a case")
    print(f"  handing over                {seconds['handing'] * per:6.1f} µs a case")
    print(f"  the writer's thread         {behind * per:6.1f} µs a case")
    print(f"  the store, all together     {(seconds['finding'] + seconds['handing'] + behind) * per:6.1f} µs a case")
    print(f"  peak memory {peak:.0f} MB, file {(folder / 'evalh.db').stat().st_size / cases:,.0f} bytes a case")


def hits(folder: Path, cases: int) -> None:
    store = open_store(folder, clock=SystemClock())
    starts = [begun(number, case(number)) for number in range(min(cases, 5000))]
    began = time.thread_time()
    for start in starts:
        if store.find(start.call.request.digest(), start.call.key) is None:
            raise SystemExit(f"{start.call.key} was not found")
    print(f"  find, a hit                 {(time.thread_time() - began) * 1e6 / len(starts):6.1f} µs")
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--pace", type=float, default=2560.0, help="cases a second; 0: as fast as possible")
    parser.add_argument("--watch", action="store_true", help="measure how long answers wait to be durable, not CPU")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run(Path(scratch) / ".evalh", options.cases, options.pace, watch=options.watch)
        hits(Path(scratch) / ".evalh", options.cases)


if __name__ == "__main__":
    main()
