"""What is imported where a system lacks what POSIX has."""

import subprocess
import sys

import pytest

LACKING = ("fcntl", "grp", "pwd", "pty", "resource", "syslog", "termios", "tty")
CHILD = f"""
import importlib, pkgutil, signal, sys, os

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name in {LACKING!r}:
            raise ModuleNotFoundError(f"no module named {{name!r}} on this system", name=name)

for library in LIBRARIES:  # what others import is theirs
    importlib.import_module(library)
for name in {LACKING!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Lacking())
for name in dir(signal):
    if name.startswith("SIG") and name not in {{"SIGINT", "SIGTERM", "SIGABRT", "SIGFPE", "SIGILL", "SIGSEGV"}} and name.isalpha():
        delattr(signal, name)
for name in ("O_TMPFILE", "O_NOFOLLOW", "O_DIRECTORY", "fchmod", "getuid", "fork", "setsid", "killpg"):
    if hasattr(os, name):
        delattr(os, name)
import evalh
wrong = []
for module in pkgutil.walk_packages(evalh.__path__, "evalh."):
    if module.name in {{"evalh.__main__", "evalh.store.locking"}}:
        continue
    try:
        importlib.import_module(module.name)
    except Exception as exc:
        wrong.append(f"{{module.name}}: {{exc!r}}")
print("\\n".join(wrong))
"""
LIBRARIES = (
    "aiohttp",
    "asyncio",
    "filelock",
    "git",
    "httptools",
    "mcp",
    "numpy",
    "platformdirs",
    "pytest",
    "rich",
    "scipy",
    "sqlite_utils",
    "uvloop",
    "webbrowser",
)


def test_no_module_needs_at_its_import_what_only_posix_has() -> None:
    child = CHILD.replace("LIBRARIES", repr(LIBRARIES))
    # The one module that has two halves, one of them for the other system, is stood in for.
    stand_in = "import sys, types; m = types.ModuleType('evalh.store.locking'); m.lock = m.held = print; sys.modules['evalh.store.locking'] = m\n"

    done = subprocess.run(
        [sys.executable, "-c", stand_in + child], capture_output=True, text=True, timeout=120, check=False
    )

    assert (done.returncode, done.stdout.strip()) == (0, ""), done


@pytest.mark.parametrize("name", LACKING)
def test_the_check_itself_sees_such_an_import(name: str) -> None:
    body = CHILD.partition("import evalh")[0].replace("LIBRARIES", "()") + f"import {name}\n"

    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, timeout=60, check=False)

    assert "on this system" in done.stderr
