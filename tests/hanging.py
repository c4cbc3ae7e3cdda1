"""What must not hang, with bounds so wide that a busy machine does not meet them and a hang goes far past them.

How fast something is, `benchmarks/` measures. A test asks only whether a text or a server can make evalh hang, and how
work grows with its input, which is a ratio of two measurements.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WORK_S = 20.0
"""Of the thread's own processor time: what is linear takes about a second, and what is quadratic takes minutes."""
WAIT_S = 30.0
"""Of the clock on the wall: a second or two, and as much as a busy machine takes."""
ALL_THREADS = time.process_time
"""A clock for `ends`: what all threads of this process do."""
_TRIES = 5
_YARD_S = 0.04


@contextmanager
def ends(of: object = "", within_s: float = WORK_S, clock: Callable[[], float] = time.thread_time) -> Iterator[None]:
    """Hold a block of code to an amount of work, by this thread's clock or by another's."""
    begun = clock()
    yield
    took = clock() - begun
    assert took < within_s, f"{took:.1f} s of work {of}"


@contextmanager
def comes_back(within_s: float = WAIT_S) -> Iterator[None]:
    """Hold a block of code that waits, for processes and servers, to the clock on the wall."""
    begun = time.monotonic()
    yield
    took = time.monotonic() - begun
    assert took < within_s, f"waited {took:.1f} s"


def assert_within(most_s: float, work: Callable[[], object], of: object = "") -> None:
    """Hold work to the seconds of processor time that it may take on a machine that does `_yardstick` in `_YARD_S`.

    Work that takes longer is tried again: other programs share the cores, their caches and their memory.
    """
    for _ in range(_TRIES):
        took = seconds(work)
        if took < most_s or (took := took * min(1.0, _YARD_S / seconds(_yardstick))) < most_s:
            return
    raise AssertionError(f"{took:.1f} s for {of}")


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time that this thread spends on the work."""
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def _yardstick() -> None:
    """Do work of a known size."""
    for _ in range(10):
        len("".join(one if one.isalpha() else " " for one in "a1" * 50_000).split())
