"""Users' code gets its time and no more, and never holds the process."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.functions import Deadline, NoAnswerError
from evalh.graders.kinds import Kind
from evalh.graders.registry import collecting, grader

SHORT = 0.03
LONG = 30.0  # never reached: what waits for it is freed


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hanging functions wait for; opened at the end so that no thread outlives the test."""
    event = threading.Event()
    yield event
    event.set()


async def test_the_answer_of_a_function_comes_back() -> None:
    assert await Deadline(LONG).call(lambda: 7) == 7


async def test_what_a_function_raises_comes_back() -> None:
    with pytest.raises(KeyError):
        await Deadline(LONG).call(lambda: {}["x"])


@pytest.mark.parametrize("error", [StopIteration, SystemExit, KeyboardInterrupt])
async def test_what_would_end_the_loop_comes_back_as_an_error(error: type[BaseException]) -> None:
    def leave() -> None:
        raise error("bye")

    with pytest.raises(RuntimeError, match=f"{error.__name__}: bye"):
        await Deadline(LONG).call(leave)


async def test_a_function_that_hangs_is_left_behind(gate: threading.Event) -> None:
    deadline = Deadline(SHORT)

    with pytest.raises(NoAnswerError, match=r"no answer within 0.03 s"):
        await deadline.call(gate.wait)

    assert await deadline.call(lambda: "next") == "next"


async def test_a_grader_that_keeps_hanging_is_not_called_again(gate: threading.Event) -> None:
    deadline = Deadline(SHORT)
    called: list[int] = []

    def hang(number: int) -> None:
        called.append(number)
        gate.wait()

    answers = [deadline.call(lambda number=number: hang(number)) for number in range(30)]
    said = await asyncio.gather(*answers, return_exceptions=True)

    assert all(isinstance(one, NoAnswerError) for one in said)
    assert len(called) == 8
    with pytest.raises(NoAnswerError, match="not called again: 8 calls gave no answer"):
        await deadline.call(lambda: 1)


async def test_hanging_threads_are_not_replaced(gate: threading.Event) -> None:
    deadline = Deadline(SHORT)
    called: list[int] = []

    def hang() -> None:
        called.append(1)
        gate.wait()

    for _ in range(4):  # what hangs from one round is still there in the next
        await asyncio.gather(*(deadline.call(hang) for _ in range(3)), return_exceptions=True)

    assert len(called) == 8


async def test_a_grader_is_called_again_once_its_hanging_calls_came_back(gate: threading.Event) -> None:
    deadline = Deadline(SHORT)
    await asyncio.gather(*(deadline.call(gate.wait) for _ in range(8)), return_exceptions=True)

    with pytest.raises(NoAnswerError, match="not called again"):
        await deadline.call(lambda: 1)
    gate.set()

    async with asyncio.timeout(LONG):
        while True:
            try:
                assert await deadline.call(lambda: 1) == 1
            except NoAnswerError:
                await asyncio.sleep(0)  # a thread is still on its way back
            else:
                break


async def test_calls_that_were_interrupted_while_they_hung_are_counted(gate: threading.Event) -> None:
    deadline = Deadline(LONG)
    begun = threading.Semaphore(0)

    def hang() -> None:
        begun.release()
        gate.wait()

    calls = [asyncio.ensure_future(deadline.call(hang)) for _ in range(9)]
    await asyncio.sleep(0)
    for _ in range(8):
        assert begun.acquire(timeout=LONG)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    with pytest.raises(NoAnswerError, match="not called again"):
        await deadline.call(lambda: 1)


async def test_waiting_for_a_thread_is_not_held_against_a_call() -> None:
    # More calls than threads, together far longer than the deadline of each.
    deadline = Deadline(0.5)
    turn = threading.Semaphore(1)

    def in_turn(number: int) -> int:
        with turn:
            return number

    assert await asyncio.gather(
        *(deadline.call(lambda number=number: in_turn(number)) for number in range(200))
    ) == list(range(200))


async def test_threads_are_few() -> None:
    deadline = Deadline(LONG)
    names = await asyncio.gather(*(deadline.call(threading.get_ident) for _ in range(300)))

    assert 1 <= len(set(names)) <= 8


def test_one_grader_serves_several_loops() -> None:
    deadline = Deadline(LONG)

    assert [asyncio.run(deadline.call(lambda: 1)) for _ in range(3)] == [1, 1, 1]


def test_an_answer_after_the_loop_is_closed_is_dropped(gate: threading.Event) -> None:
    deadline = Deadline(LONG)
    begun, done = threading.Event(), threading.Event()

    def late() -> None:
        begun.set()
        gate.wait()
        done.set()

    async def interrupted() -> None:
        task = asyncio.ensure_future(deadline.call(late))
        await asyncio.sleep(0)
        assert begun.wait(LONG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    gate.set()

    assert done.wait(LONG)
    assert asyncio.run(deadline.call(lambda: 1)) == 1


async def test_a_coroutine_that_hangs_is_cancelled() -> None:
    ended = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(NoAnswerError, match="no answer within"):
        await Deadline(SHORT).wait(hang())

    await asyncio.wait_for(ended.wait(), LONG)


async def test_a_coroutine_that_refuses_to_be_cancelled_is_left_behind() -> None:
    free = asyncio.Event()

    async def stubborn() -> None:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue
        raise ValueError("nobody reads this")

    with pytest.raises(NoAnswerError):
        await Deadline(SHORT).wait(stubborn())

    free.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_coroutine_that_cancels_itself_does_not_end_the_run() -> None:
    async def leave() -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="cancelled itself"):
        await Deadline(LONG).wait(leave())


async def test_a_coroutine_that_exits_does_not_end_the_run() -> None:
    async def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        await Deadline(LONG).wait(leave())


async def test_an_interrupted_run_cancels_what_it_awaits() -> None:
    ended = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.ensure_future(Deadline(LONG).wait(hang()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    await asyncio.wait_for(ended.wait(), LONG)


def test_a_hanging_function_does_not_keep_the_process_alive() -> None:
    program = (
        "import asyncio, threading\n"
        "from evalh.graders.functions import Deadline, NoAnswerError\n"
        "try: asyncio.run(Deadline(0.05).call(threading.Event().wait))\n"
        "except NoAnswerError as exc: print(exc)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout.strip() == "no answer within 0.05 s"
    assert done.stderr == ""


# -- the same through a grader


@pytest.fixture
def kinds(gate: threading.Event) -> dict[str, Kind]:
    with collecting(__file__) as collected:

        @grader("hangs")
        def hangs(ctx: GradeContext) -> Verdict:
            gate.wait()
            return Verdict.check(True, "late")

        @grader("hangs_too")
        async def hangs_too(ctx: GradeContext) -> Verdict:
            await asyncio.Event().wait()
            return Verdict.check(True, "never")

    return collected


@pytest.mark.parametrize("kind", ["hangs", "hangs_too"])
def test_a_grader_that_hangs_is_an_error_and_not_a_failure(
    build_grader: Callable, make_context: Callable, ask: Callable, kinds: dict[str, Kind], kind: str
) -> None:
    verdict = ask(build_grader(kind, kinds=kinds, deadline_s=SHORT), make_context(""))

    assert (verdict.outcome, verdict.score, verdict.reason) == ("error", None, "no answer within 0.03 s")
