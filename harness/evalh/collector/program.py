"""The program that `evalh collect` starts: its environment, its signals, its exit code."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from urllib.parse import quote

from evalh.core.errors import UsageError

_KILLED = 128  # added to a signal's number by shells
_OURS = (
    "OTEL_EXPORTER_OTLP_HEADERS",  # they are for somebody else
    "TRACELOOP_HEADERS",
    *(
        f"OTEL_EXPORTER_OTLP_{signal}_{what}"
        for signal in ("TRACES", "LOGS", "METRICS")
        for what in ("ENDPOINT", "PROTOCOL", "HEADERS")
    ),
)


def environment(env: Mapping[str, str], url: str, protocol: str, token: str | None) -> dict[str, str]:
    """Return a program's environment in which OpenTelemetry's exporters send to `url`."""
    made = {name: value for name, value in env.items() if name not in _OURS}
    made["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
    made["OTEL_EXPORTER_OTLP_PROTOCOL"] = protocol
    made["TRACELOOP_BASE_URL"] = made["PHOENIX_COLLECTOR_ENDPOINT"] = url  # SDKs that look here first
    if token is not None:
        made["OTEL_EXPORTER_OTLP_HEADERS"] = made["TRACELOOP_HEADERS"] = f"authorization={quote(f'Bearer {token}')}"
    for kind in ("TRACES", "LOGS"):
        if made.get(f"OTEL_{kind}_EXPORTER", "none") in {"", "none", "console"}:
            made[f"OTEL_{kind}_EXPORTER"] = "otlp"
    return made


class StartedProgram:
    """One started program. Ctrl-C and SIGTERM are passed on to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._interrupts = 0

    @classmethod
    async def start(cls, command: Sequence[str], env: Mapping[str, str], *, quiet: bool) -> "StartedProgram":
        """Start it in this directory; `quiet`: its stdout is our stderr. Raises UsageError."""
        try:
            out = sys.stderr.fileno() if quiet else None
            process = await asyncio.create_subprocess_exec(*command, env=dict(env), stdout=out)
        except FileNotFoundError:
            hint = "evalh collect -- python app.py"
            raise UsageError(f"there is no command {command[0]!r}", hint=hint) from None
        except PermissionError:
            raise UsageError(f"{command[0]!r} is not executable", hint=f"chmod +x {command[0]}") from None
        except (OSError, ValueError) as exc:  # not a program for this machine; a NUL in an argument
            raise UsageError(f"{command[0]!r} cannot be started: {exc}") from None
        return cls(process)

    async def ended(self) -> int:
        """Wait for its end and return its exit code; of one that a signal ended, what a shell says."""
        code = await self._process.wait()
        return code if code >= 0 else _KILLED - code

    def interrupt(self, sign: int) -> None:
        """Pass a signal on. A terminal sends Ctrl-C to both by itself: then only the second one is passed on."""
        self._interrupts += sign == signal.SIGINT
        if sign == signal.SIGINT and self._interrupts == 1 and _from_terminal():
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(sign)

    def kill(self) -> None:
        """End it, whatever it does."""
        with suppress(ProcessLookupError):
            self._process.kill()


def _from_terminal() -> bool:
    """Whether Ctrl-C reaches the program without us: both are in a terminal's foreground."""
    try:
        return os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    except (OSError, AttributeError):  # no stdin, or Windows, whose console tells both
        return os.name == "nt"
