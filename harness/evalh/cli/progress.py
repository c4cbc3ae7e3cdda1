"""The live line: done, good rate, spend, speed, time left. On stderr, so stdout stays the answer."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING

from evalh.core.ports import Progress
from evalh.core.sample import Sample, Standing
from evalh.core.values import Value
from evalh.report.text import dollars, safe

if TYPE_CHECKING:
    from evalh.cli.app import App

_ERASE = "\r\x1b[K"
_TICK_S = 0.1
_PLAIN_TICK_S = 10.0
_NO_CURSOR = ("dumb", "unknown")


class Narrow(Value):
    """A window below its ceiling, and the time it last shrank."""

    size: int
    ceiling: int
    because: str
    at: float  # monotonic


class Line:
    """One rewritten line on a terminal; elsewhere a plain line every ten seconds."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._tick_s = _TICK_S if live else _PLAIN_TICK_S
        self._reset("", 0)

    def _reset(self, label: str, total: int, left: str = "left") -> None:
        self._label = safe(label)
        self._total = total
        self._left = left
        self._done = self._hits = 0
        self._counted = self._good = self._graded = 0  # without incidents
        self._spent: float | None = 0.0
        self._began = self._shown = time.monotonic()
        self._windows: dict[str, Narrow] = {}
        self._told: set[tuple[str, str]] = set()
        self._waits: dict[str, float] = {}  # for what → until when, monotonic
        self._waits_told = float("-inf")
        self._paused: tuple[str, float] | None = None  # why, and since when

    def start(self, label: str, total: int, *, at_most: bool = False) -> None:
        """Begin a run."""
        self._reset(label, total, "left at most" if at_most else "left")
        if self._live:
            self._show()

    def advance(self, sample: Sample) -> None:
        """Count one sample; redraw when a tick has passed."""
        self._done += 1
        if not sample.case.incident:
            self._counted += 1
            self._good += sample.standing is Standing.GOOD
            self._graded += sample.standing is not Standing.UNGRADED
        self._hits += sample.from_log
        if not sample.from_log:
            cost = sample.cost_usd
            self._spent = None if self._spent is None or cost is None else self._spent + float(cost)
        if not self._done % 16 or self._total < 1000:  # noqa: PLR2004 (the clock is not free at 5,000 a second)
            now = time.monotonic()
            if now - self._shown >= self._tick_s:
                self._shown = now
                self._show()

    def window(self, model: str, size: int, ceiling: int, because: str) -> None:
        """Show a window below its ceiling; without a terminal only once, and once when it is full again."""
        if size < ceiling:
            at = time.monotonic()
            known = self._windows.get(model)
            if known is not None and size > known.size:
                at = known.at  # it grows back
            self._windows[model] = Narrow(size, ceiling, because, at)
            self._once(model, "shrank", f"{model}: window {size} of {ceiling}: {because}")
        else:
            self._windows.pop(model, None)
            self._once(model, "whole", f"{model}: window {ceiling} of {ceiling} again")

    def waiting(self, seconds: float, because: str) -> None:
        """Show that requests wait; without a terminal at most every ten seconds."""
        now = time.monotonic()
        self._waits[because] = now + seconds
        if self._live:
            self._shown = now
            self._show()
        elif now - self._waits_told >= _PLAIN_TICK_S:
            self._waits_told = now
            self.note(_wait(seconds, because))

    def paused(self, because: str | None) -> None:
        """Show that nothing is sent; without a terminal one line at the start and one at the end."""
        before = self._paused
        self._paused = None if because is None else (because, before[1] if before else time.monotonic())
        if self._live:
            self._show()
        elif because and not before:
            self.note(f"{because}: no requests until the log can be written")
        elif before and not because:
            self.note("the run continues")

    def _once(self, model: str, what: str, text: str) -> None:
        if not self._live and (model, what) not in self._told:
            self._told.add((model, what))
            self.note(text)

    def note(self, text: str) -> None:
        """Print something that should be seen now."""
        self._clear()
        print(safe(text), file=sys.stderr)

    def stop(self) -> None:
        """Remove the line: the answer follows."""
        self._clear()

    def _clear(self) -> None:
        if self._live:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()

    def _show(self) -> None:
        text = self.text(time.monotonic() - self._began)
        if self._live:
            sys.stderr.write(f"{_ERASE}{text}")
            sys.stderr.flush()
        else:
            print(text, file=sys.stderr)

    def text(self, seconds: float) -> str:
        """Return the line after `seconds` of running."""
        parts = [f"{self._label}  {self._done}/{self._total}"]
        if self._done:
            if self._counted:
                parts.append(f"good {100 * self._good / self._counted:.0f} %" if self._graded else "none graded")
            asked = self._done - self._hits
            if asked and self._spent is None:
                parts.append("not priced")
            elif asked:
                parts.append(dollars(self._spent))
            speed = self._done / seconds if seconds > 0 else 0.0
            if speed > 0:
                parts.append(f"{speed:.1f}/s")
                parts.append(f"{_clock((self._total - self._done) / speed)} {self._left}")
        if self._paused is not None:
            because, since = self._paused
            parts.append(f"paused: {because} ({time.monotonic() - since:.0f} s)")
        if self._windows:
            narrow = min(self._windows.values(), key=lambda one: one.size / one.ceiling)
            ago = time.monotonic() - narrow.at
            parts.append(f"window {narrow.size} of {narrow.ceiling} ({safe(narrow.because)} {ago:.0f} s ago)")
        now = time.monotonic()
        left_s, because = max(((until - now, what) for what, until in self._waits.items()), default=(0.0, ""))
        if left_s > 0.0:
            parts.append(_wait(left_s, because))
        return " · ".join(parts)


def _wait(seconds: float, because: str) -> str:
    """State the wait and its reason: `waiting 4 s: rate limit of openai:gpt-5`."""
    told = f"{ceil(seconds)} s" if seconds < 100.0 else _clock(seconds)  # noqa: PLR2004 (as people say it)
    return f"waiting {told}: {safe(because)}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def counter_for(what: str) -> Iterator[Callable[[int], None]]:
    """Show a count on a terminal; elsewhere print nothing. Yields the function that takes the count."""
    live = _is_live()
    shown = 0.0

    def show(count: int) -> None:
        nonlocal shown
        if live and time.monotonic() - shown >= _TICK_S:
            shown = time.monotonic()
            sys.stderr.write(f"{_ERASE}{count} {what}")
            sys.stderr.flush()

    try:
        yield show
    finally:
        if live:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()


def _is_live() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") not in _NO_CURSOR


def progress_for(app: "App") -> Progress:
    """Choose the live line on a terminal, plain lines elsewhere."""
    del app
    return Line(live=_is_live())
