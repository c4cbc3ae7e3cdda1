"""A person's command line, many times a second: one process imports evalh and forks for each command. Not a test itself.

Each command still is a process: its own exit code, descriptors, working directory, environment and signals. What
is shared is only the import, which costs more than most commands do.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 30.0
_SCRIPTED = '[models.small]\nprovider = "scripted"\ntable = {"s-001" = "x"}\n'


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended; `code` is negative for a signal."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed


class CommandLine:
    """Runs commands one after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, folder: Path | str, *arguments: str, **more: Any) -> Done:
        """Run `evalh -C folder arguments…`."""
        return self.run(["-C", str(folder), *arguments], **more)

    def run(self, arguments: list[str], *, env: Mapping[str, str] | None = None, **more: Any) -> Done:
        """Run `evalh arguments…`. `gone`: from a folder that is deleted first; `uid`: as this user;
        `interrupt_after`: with Ctrl-C after so many seconds.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        wanted = {"arguments": arguments, "env": dict(os.environ if env is None else env), **more}
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        return Done(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=10)


def serve() -> None:
    """Answer each line of stdin, which is one command, with a line on stdout."""
    import evalh.api.check
    import evalh.api.doctor
    import evalh.api.prompts
    import evalh.api.workspace
    import evalh.report.log
    import evalh.store  # noqa: F401

    for line in sys.stdin:
        done = _forked(json.loads(line))
        sys.stdout.write(json.dumps({"code": done.code, "out": done.out, "err": done.err}) + "\n")
        sys.stdout.flush()


def _forked(wanted: Mapping[str, Any]) -> Done:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _become(wanted, out.fileno(), err.fileno())
        status = _waited(child, wanted.get("interrupt_after"))
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "backslashreplace"))
    return Done(status, *texts)


def _become(wanted: Mapping[str, Any], out: int, err: int) -> None:
    """Turn this process into the command; never returns."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.environ.clear()
    os.environ.update(wanted["env"])
    if wanted.get("gone"):
        os.chdir(wanted["gone"])
        Path(wanted["gone"]).rmdir()
    if wanted.get("uid"):
        _import_all(out)
        os.setgroups([])
        os.setgid(wanted["uid"])
        os.setuid(wanted["uid"])
    from evalh.cli import main

    sys.argv = ["evalh", *wanted["arguments"]]
    code: object = 70
    try:
        main()
    except SystemExit as exc:
        code = exc.code
    except BaseException:  # noqa: BLE001 (shown, as the interpreter would)
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _import_all(out: int) -> None:
    """Use the verbs once: another user may not be able to read the interpreter's own files later."""
    from evalh.cli import main
    from evalh.cli.main import VERBS

    with tempfile.TemporaryDirectory() as folder:
        verbs = [["init", folder], *([verb, "--help"] for verb in VERBS), ["-C", folder, "check"]]
        table = Path(folder) / "evalh.toml"
        for verb in [
            *verbs,
            ["-C", folder, "run", "--limit", "1"],
            ["-C", folder, "show"],
            ["-C", folder, "run", "--model", ""],
        ]:
            sys.argv = ["evalh", *verb]
            with suppress(SystemExit):
                main()
            if verb[0] == "init":
                table.write_text(table.read_text().partition("[models.small]")[0] + _SCRIPTED)
    for descriptor in (out, 1, 2):
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.ftruncate(descriptor, 0)


def _waited(child: int, interrupt_after: float | None) -> int:
    began = time.monotonic()
    while time.monotonic() < began + TIMEOUT_S:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if interrupt_after is not None and time.monotonic() > began + interrupt_after:
            os.kill(child, signal.SIGINT)
            interrupt_after = None
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    serve()
