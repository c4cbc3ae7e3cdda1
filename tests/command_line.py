"""A person's command line, many times a second: one process imports evalh and forks for each command. Not a test itself.

Each command still is a process: its own exit code, descriptors, working directory, environment and signals, and it ends
as a program does. What is shared is only the interpreter's start and the import, which cost more than most commands do.
"""

import atexit
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 120.0
AT_START = ("PYTHON", "LC_", "LANG", "LD_", "OPENBLAS")
"""Beginnings of variables that an interpreter reads once: other values take an interpreter of their own."""
_NOT_AT_START = "LANGFUSE_"
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
        self._started_with = dict(os.environ)
        self._elsewhere = tempfile.TemporaryDirectory()  # where commands are typed that name no folder of their own
        Path(self._elsewhere.name).chmod(0o755)  # other users, too
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # what forks has one thread
        )

    def __call__(self, folder: Path | str, *arguments: str, **more: Any) -> Done:
        """Run `evalh -C folder arguments…`."""
        return self.run(["-C", str(folder), *arguments], **more)

    def run(self, arguments: list[str], *, env: Mapping[str, str] | None = None, **more: Any) -> Done:
        """Run `evalh arguments…`.

        `cwd`: in this folder, else in an empty one; `gone`: from a folder that is deleted first; `uid`: as this user;
        `interrupt_after`: with Ctrl-C after so many seconds.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        wanted = {"arguments": arguments, "env": dict(os.environ if env is None else env), "cwd": self._elsewhere.name}
        wanted |= more
        assert self._may_start_with(wanted["env"]), "an interpreter's own variables differ: start one"
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        return Done(**json.loads(self._process.stdout.readline()))

    def _may_start_with(self, env: Mapping[str, str]) -> bool:
        settings = {name for name in {*env, *self._started_with} if name.startswith(AT_START)}
        settings = {name for name in settings if not name.startswith(_NOT_AT_START)}
        return all(name not in env or env[name] == self._started_with.get(name) for name in settings)

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=10)
        self._elsewhere.cleanup()


@functools.cache
def command_line() -> CommandLine:
    """Return the one command line of this process; it ends with it."""
    line = CommandLine()
    atexit.register(line.close)
    return line


def serve() -> None:
    """Answer each line of stdin, which is one command, with a line on stdout."""
    _import_evalh()
    for line in sys.stdin:
        done = _forked(json.loads(line))
        sys.stdout.write(json.dumps({"code": done.code, "out": done.out, "err": done.err}) + "\n")
        sys.stdout.flush()


def _import_evalh() -> None:
    """Import every module of evalh, and what they import when they are called."""
    import gc
    import pkgutil
    from importlib import import_module

    import evalh

    ours = [module.name for module in pkgutil.walk_packages(evalh.__path__, "evalh.")]
    for name in sorted({*ours} - {"evalh.__main__", "evalh.pytest_plugin"}):
        import_module(name)
    for name in ("git", "jsonschema_rs", "platformdirs", "scipy.special", "uvloop", "yaml"):
        import_module(name)
    gc.freeze()  # so that no child copies what it only reads


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
    if wanted.get("cwd"):
        os.chdir(wanted["cwd"])
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
        threading._shutdown()  # type: ignore[attr-defined]  # as the interpreter's end does: wait for threads, then
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _import_all(out: int) -> None:
    """Use the verbs once: another user may not be allowed to read the interpreter's files later."""
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
