"""The first moments of the program: until `main` takes over, an interrupt ends it at once.

Nothing was begun then. `import evalh` in somebody's own program changes nothing there.
"""

import _signal  # type: ignore[import-not-found]  # `signal` itself takes a while to import
import os
import sys

_INTERRUPTED = 130
_DOCUMENT = b"""{
  "schema": "evalh.error/1",
  "error": {
    "what": "interrupted",
    "where": null,
    "hint": "paid answers are saved",
    "exit": 130
  }
}
"""


def leave(_number: int, _frame: object) -> None:
    """End at once, with the code of an interruption."""
    os._exit(_INTERRUPTED)


def end_the_start(number: int, frame: object) -> None:
    """Say that nothing was begun, and end."""
    as_json = "--json" in sys.argv
    try:
        os.write(1 if as_json else 2, _DOCUMENT if as_json else b"error: interrupted\n")
    except OSError:  # nobody reads it
        leave(number, frame)
    leave(number, frame)


def _is_the_program() -> bool:
    """Whether Python was started to run evalh, whatever options of its own stand before that."""
    arguments, words = getattr(sys, "argv", []) or [""], getattr(sys, "orig_argv", [])
    if arguments[0] == "-m":  # the module is being looked for; its name stands before its arguments
        module = "".join(words[-len(arguments) :][:1])
        return module == "evalh" or (module.startswith("-") and module.endswith("mevalh"))
    script = os.path.basename(arguments[0])  # noqa: PTH119 (pathlib takes a while too)
    return script in {"evalh", "evalh.exe", "evalh-script.py"}


if _is_the_program():
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # a shell's background job ignores it
        _signal.signal(_signal.SIGINT, end_the_start)
    _signal.signal(_signal.SIGTERM, end_the_start)  # last: once it is caught, so is the other one
