"""`evalh run --watch`: the same run again whenever a file is saved.

Each run is a process of its own: it reads every file again, and a broken one ends that run, not the watch. The first
prints its whole summary; of the others only what a save changed is printed.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from evalh.cli.app import App
from evalh.cli.output import print_problems
from evalh.core.errors import EvalhError, ExitCode

if TYPE_CHECKING:
    from evalh.api.watching import Update
    from evalh.core.run import RunSummary

_SHOWN = 8  # cases that are named
_STYLES = {"good": "green", "bad": "red", "ungraded": "yellow"}
_WAITS = "watching: save a file to run again; Ctrl-C stops; the whole summary: evalh show last"


def watch(app: App, words: Sequence[str]) -> int:
    """Run, wait for a save, run again, until Ctrl-C. Returns 0 if that came while nothing ran."""
    from evalh.api.watching import next_save, saved, updates

    parts = app.workspace
    newest, told = None, False
    while True:
        files = saved(parts.root)
        code = _run_unsaid(words) if told else _run(words)
        if code == ExitCode.INTERRUPTED:
            return code
        with suppress(EvalhError):  # the run has said it
            parts = app.reopened()
        changed, newest = updates(parts, newest)
        told = newest is not None
        for one in changed:
            _show(app, one)
        try:
            app.hints.print(_WAITS, style="dim", soft_wrap=True)
            next_save(parts.root, files)
        except KeyboardInterrupt:
            app.hints.print()
            return ExitCode.YES
        app.hints.print()


def _run(words: Sequence[str], answer: IO[bytes] | None = None) -> int:
    """Run the command once. Ctrl-C reaches it once, by us: a second one would cut its saving short."""
    command = [sys.executable, "-m", "evalh", *words]
    with subprocess.Popen(command, start_new_session=True, stdout=answer) as process:  # noqa: S603 (this program)
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                if sys.platform != "win32":
                    process.send_signal(signal.SIGINT)


def _run_unsaid(words: Sequence[str]) -> int:
    """Run the command once without its summary; its live line and its error are shown as ever."""
    from msgspec import MsgspecError
    from msgspec.json import decode

    from evalh.report.documents.workspace import ErrorDocument

    place = words.index("--") if "--" in words else len(words)
    with TemporaryFile() as answer:
        code = _run([*words[:place], "--json", *words[place:]], answer)
        answer.seek(0)
        with suppress(MsgspecError):  # a run's document
            error = decode(answer.read(), type=ErrorDocument).error
            print_problems((error, *(error.others or ())))
    return code


def _show(app: App, update: "Update") -> None:
    """Print what one run of a save changed, in a few lines."""
    from evalh.core.run import RunStatus
    from evalh.report.terminal.console import StyledText
    from evalh.report.terminal.run import run_title
    from evalh.report.text import one_line, plural

    result, at = update.result, update.finished_at
    asked = f" · {plural(update.asked, 'case')} asked"
    time = "" if at is None else f" · {datetime.fromtimestamp(at).astimezone():%H:%M:%S}"
    app.console.print(run_title(result.record).append(f"{asked}{time}", "dim"), soft_wrap=True)
    if result.status is not RunStatus.COMPLETE:
        why = f": {one_line(result.stopped_because, 300)}" if result.stopped_because else ""
        told = f"{result.status.value} after {result.summary.evaluated} of {result.record.planned} samples{why}"
        app.console.print(StyledText(told, "yellow"), soft_wrap=True)
    app.console.print(StyledText(_rates(update.before, result.summary), "bold"), soft_wrap=True)
    for standing, cases in update.changed.items():
        more = f" and {len(cases) - _SHOWN} more" if len(cases) > _SHOWN else ""
        names = ", ".join(one_line(case, 40) for case in cases[:_SHOWN])
        app.console.print(StyledText.assemble((f"now {standing}  ", _STYLES[standing]), names, more), soft_wrap=True)
    if not update.changed:
        app.console.print(StyledText("no case changed its verdict", "dim"))


def _rates(before: "RunSummary | None", now: "RunSummary") -> str:
    """Say how many samples are good, with the difference where an earlier run has a rate."""
    if not now.samples:
        return f"incidents: {now.apart.good} of {now.apart.samples} good"
    if before is None or before.good_rate.value is None or now.good_rate.value is None:
        return f"good {now.good} of {now.samples}"
    was = f"{before.good} of {before.samples}" if before.samples != now.samples else f"{before.good}"
    points = 100 * (now.good_rate.value - before.good_rate.value)
    return f"good {was} → {now.good} of {now.samples}  {points:+.1f} points"
