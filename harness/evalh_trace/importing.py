"""Imports that wait until they are needed, and the forks that must not fall into them.

msgspec takes longer to import than all of the tracer's path. A child that is forked while a thread imports a module
inherits the module's lock, and nobody to release it: a fork waits until such an import is done.
"""

import os
import sys
import threading
from importlib import import_module
from typing import Any

_MOST_WAIT_S = 1.0  # what is imported may itself wait for the thread that forks


class _Importing:
    """Held while a module is imported."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._held = False  # by a fork
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._hold, after_in_parent=self._release, after_in_child=self._renew)

    def _hold(self) -> None:
        self._held = self.lock.acquire(timeout=_MOST_WAIT_S)

    def _release(self) -> None:
        if self._held:
            self._held = False
            self.lock.release()

    def _renew(self) -> None:
        self.lock = threading.RLock()
        self._held = False


_IMPORTING = _Importing()


def imported(name: str) -> Any:
    """Return a module, imported when it is first asked for. Raises ImportError."""
    module = sys.modules.get(name)
    if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
        return module
    with _IMPORTING.lock:
        return import_module(name)
