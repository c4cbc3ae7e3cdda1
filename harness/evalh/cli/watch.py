"""`evalh run --watch`: the same run again whenever a file is saved.

Each run is a process of its own: it reads every file anew, and a broken one ends that run, not the watch.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from evalh.cli.app import App
from evalh.core.errors import EvalhError, ExitCode

if TYPE_CHECKING:
    from evalh.api.watching import Shift

_SHOWN = 5


def watch(app: App, words: Sequence[str]) -> int:
    """Run, wait for a save, run again, until Ctrl-C. Returns 0 if that came while nothing ran."""
    from evalh.api.watching import next_save, saved, shifts

    parts = app.workspace
    newest = None
    while True:
        files = saved(parts.root)
        code = _run(words)
        if code == ExitCode.INTERRUPTED:
            return code
        with suppress(EvalhError):  # the run has said it
            parts = app.reopened()
        changed, newest = shifts(parts, newest)
        for one in changed:
            _show(app, one)
        try:
            app.hints.print("watching: save a file to run again, Ctrl-C ends", style="dim")
            next_save(parts.root, files)
        except KeyboardInterrupt:
            app.hints.print()
            return ExitCode.YES
        app.hints.print()


def _run(words: Sequence[str]) -> int:
    """Run the command once. Ctrl-C reaches it once, by us: a second one would cut its saving short."""
    command = [sys.executable, "-m", "evalh", *words]
    with subprocess.Popen(command, start_new_session=True) as process:  # noqa: S603 (this program)
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                if sys.platform != "win32":
                    process.send_signal(signal.SIGINT)


def _show(app: App, shift: "Shift") -> None:
    from evalh.report.text import safe

    told = [
        f"{len(cases)} {word} ({', '.join(cases[:_SHOWN])}{', …' if len(cases) > _SHOWN else ''})"
        for word, cases in (("better", shift.better), ("worse", shift.worse))
        if cases
    ]
    line = f"since the last save, {shift.prompt} on {shift.model}: {', '.join(told) or 'no case changed its standing'}"
    app.console.print(safe(line), soft_wrap=True)
