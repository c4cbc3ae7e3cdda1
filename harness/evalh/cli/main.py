"""The entry point: finds the verb, maps errors to exit codes."""

import _thread
import atexit
import errno
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

import click

from evalh.cli import streams
from evalh.cli.app import WHOLE, App
from evalh.cli.output import clear_beside
from evalh.core.errors import EvalhError, ExitCode, nearest, worst
from evalh.starting import end_the_start, leave

_FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_DISK_FAILURES = _FORBIDDEN | {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

_OUTSIDE_S = 0.02

GROUPS = {
    "Start here": ("init", "run", "compare", "view"),
    "Measure": ("power", "render", "blame", "grade"),
    "Decide": ("gate", "baseline", "drift", "check"),
    "Look": ("show", "matrix", "calls", "explain", "cost", "report", "sql"),
    "Judge": ("label", "calibrate", "grader"),
    "Prompts and data": ("prompt", "dataset", "import", "export"),
    "Production": ("collect", "trace"),
    "Set up": ("model", "ci", "skill", "mcp", "doctor", "completion", "help"),
}
"""The verbs as `evalh --help` lists them: what a person does first comes first."""

VERBS = tuple(verb for group in GROUPS.values() for verb in group)

_MODULES = {"import": "bring"}  # a module cannot have a keyword's name


class Verbs(click.Group):
    """Imports a verb's module when the verb is named: `evalh run` pays for `run` alone."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which people meet them."""
        del ctx
        return list(VERBS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs in their groups, every summary whole."""
        for title, verbs in GROUPS.items():
            found = ((verb, self.get_command(ctx, verb)) for verb in verbs)
            rows = [(verb, command.get_short_help_str(WHOLE)) for verb, command in found if command is not None]
            with formatter.section(title):
                formatter.write_dl(rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb. Raises click's UsageError with the nearest verb for an unknown one."""
        if cmd_name in VERBS:
            command: click.Command = import_module(f"evalh.cli.{_MODULES.get(cmd_name, cmd_name)}").command
            return command
        guess = nearest(cmd_name, VERBS)
        advice = f"; did you mean `evalh {guess}`?" if guess else ""
        raise click.UsageError(f"there is no verb {cmd_name!r}{advice}", ctx)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "-C", "--workspace", "folder", default=".", metavar="DIR", help="Folder where the search for evalh.toml starts."
)
@click.version_option(package_name="evalh", message="evalh %(version)s")
@click.pass_context
def cli(ctx: click.Context, folder: str) -> None:
    """Versions, tests, a price and a merge gate for prompts."""
    ctx.obj = App(folder)


def main() -> NoReturn:
    """Run the command line; exit codes as in docs/reference/exit-codes.md."""
    if (asked := os.environ.get("_EVALH_COMPLETE")) is not None:
        _complete(asked)
    atexit.register(_from_now_on, signal.SIG_IGN)  # the last thing of all: the interpreter's end would die of a signal
    try:
        code = _main()
    except KeyboardInterrupt:  # between two moments that report it
        code = ExitCode.INTERRUPTED
    _from_now_on(leave)  # everything is said
    if code == ExitCode.INTERRUPTED:
        # Ctrl-C inside an `exec`, such as a late import's, marks a process to die of SIGINT; the next one unmarks it.
        exec("")  # noqa: S102
    gc.freeze()  # the process ends: nobody needs the cycles found that go with it
    sys.exit(code)


def _main() -> int:
    answer = streams.prepare()
    sys.unraisablehook = _ask_again
    code = _run(answer)
    failed = streams.flush(answer)
    if failed is not None and code != ExitCode.CANNOT_MEASURE:  # that was reported already, or is as bad
        code = worst([ExitCode(code), _explain(failed, answer, as_json=False)])
    streams.flush(sys.stderr)
    return code


def _complete(asked: str) -> NoReturn:
    """Complete a line for a shell. Errors stay silent: they must not break into a half-typed line."""
    from contextlib import suppress

    with suppress(BaseException):
        from evalh.cli.completion import complete

        complete(cli, asked)
    sys.exit(ExitCode.YES)


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    """Treat SIGTERM as Ctrl-C: a cancelled job saves its paid answers."""
    raise KeyboardInterrupt


def _from_now_on(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, handler)


def _ask_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Deliver an interrupt from inside a destructor: Python would print and drop it."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        threading.Timer(_OUTSIDE_S, _thread.interrupt_main).start()  # at once would be inside the destructor again
    else:
        sys.__unraisablehook__(unraisable)


def _run(answer: TextIO) -> int:
    app: App | None = None
    try:
        # Here, and SIGTERM last: from the moment that it is caught, either signal is told as an interruption.
        if signal.getsignal(signal.SIGINT) is end_the_start:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _interrupt)
        clear_beside(sys.argv[1:])
        with cli.make_context("evalh", sys.argv[1:]) as ctx:
            app = ctx.obj
            outcome = cli.invoke(ctx)
            return outcome if isinstance(outcome, int) else ExitCode.YES
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except BaseException as exc:  # noqa: BLE001 (the one place that turns errors into exit codes)
        return _explain(exc, answer, as_json=(app is not None and app.json) or "--json" in sys.argv)


def _explain(exc: BaseException, answer: TextIO, *, as_json: bool) -> ExitCode:
    document = answer if as_json else None
    match exc:
        case EvalhError():
            error, code = exc, exc.exit_code
        case KeyboardInterrupt() | click.Abort():
            _from_now_on(leave)  # all is saved: a second Ctrl-C shows no traceback and changes no exit code
            error, code = EvalhError("interrupted", hint="paid answers are saved"), ExitCode.INTERRUPTED
        case click.exceptions.NoArgsIsHelpError() if not as_json:
            print(exc.format_message(), file=sys.stderr)
            return ExitCode.USAGE
        case click.exceptions.NoArgsIsHelpError():
            error, code = EvalhError("which verb?", hint=_usage(exc)), ExitCode.USAGE
        case click.ClickException():
            error, code = _misuse(exc), ExitCode.USAGE
        case SystemExit():
            what = f"the workspace's own code ended the program: SystemExit({exc.code})"
            error, code = EvalhError(what, hint="raise an exception that says what is wrong"), ExitCode.USAGE
        case BaseException() if _of_an_interrupt(exc):
            return _explain(KeyboardInterrupt(), answer, as_json=as_json)
        case OSError() if exc.errno in _DISK_FAILURES:
            hint = "make its folder writable" if exc.errno in _FORBIDDEN else "make room"
            error = EvalhError(f"cannot write: {exc.strerror}", where=exc.filename or "stdout", hint=hint)
            code = ExitCode.CANNOT_MEASURE
            document = document if exc.filename else None  # the document is what could not be written
        case _:
            error, code = _bug(exc), ExitCode.BUG
    _show_error(error, code, document)
    return code


def _of_an_interrupt(exc: BaseException) -> bool:
    """Whether an interrupt is behind an error: Python wraps one that comes while a class is made, or in a task."""
    if isinstance(exc, BaseExceptionGroup):
        return exc.subgroup(KeyboardInterrupt) is not None
    behind = exc.__cause__ or exc.__context__
    return isinstance(behind, KeyboardInterrupt)


def _misuse(exc: click.ClickException) -> EvalhError:
    """Say what click refused, and what to type instead."""
    match exc:
        case click.NoSuchOption(option_name="--suite", ctx=click.Context() as verb) if _takes_suite(verb):
            hint = f"give the suite without an option: {verb.command_path} SUITE"
            return EvalhError("No such option '--suite'.", hint=hint)
        case click.BadParameter(param=click.Parameter(type=click.Choice() as kind) as parameter):
            return _not_a_choice(exc, kind.choices, parameter)
        case _:
            return EvalhError(exc.format_message(), hint=_usage(exc))


def _not_a_choice(exc: click.BadParameter, choices: Sequence[str], parameter: click.Parameter) -> EvalhError:
    """Say which words a parameter takes, on one line, and which one may be meant."""
    if isinstance(parameter, click.Argument):
        exc.param_hint = parameter.human_readable_name  # click's own hint lists the words again
    if isinstance(exc, click.MissingParameter):
        return EvalhError(" ".join(exc.format_message().split()), hint=_usage(exc))
    typed = exc.message.rpartition(" is not ")[0].strip("'\"")  # click keeps the word only in its message
    guess = nearest(typed, choices)
    return EvalhError(exc.format_message(), hint=f"did you mean {guess!r}? {_usage(exc)}" if guess else _usage(exc))


def _usage(exc: click.ClickException) -> str:
    context = exc.ctx if isinstance(exc, click.UsageError) else None
    if context is None:  # click knows of none where an option's value is missing
        verb = next((word for word in sys.argv[1:] if word in VERBS), "")
        return f"see `{f'evalh {verb}'.strip()} --help`"
    return f"see `{context.command_path} --help`"


def _takes_suite(context: click.Context) -> bool:
    arguments = (one for one in context.command.params if isinstance(one, click.Argument))
    return any("SUITE" in (one.metavar or str(one.name)).upper() for one in arguments)


def _show_error(error: EvalhError, code: ExitCode, document: TextIO | None) -> None:
    """Print an error for people on stderr, or as the one document of `--json`."""
    if document is not None:
        from evalh.report.documents.document import document_of, text_of
        from evalh.report.documents.workspace import EndedWith, ErrorDocument

        more = {"others": error.others} if error.others else {}
        problem = document_of(EndedWith, what=error.what, where=error.where, hint=error.hint, exit=code, **more)
        print(text_of(ErrorDocument(error=problem), indent=2), file=document)
        return
    from evalh.cli.output import print_problems

    print_problems((error, *error.others))


def _bug(exc: BaseException) -> EvalhError:
    if os.environ.get("EVALH_DEBUG"):
        traceback.print_exception(exc)
    frames = traceback.extract_tb(exc.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    what = f"this is a bug in evalh: {type(exc).__name__}: {exc}{place}"
    return EvalhError(what, hint="paid answers are saved; EVALH_DEBUG=1 shows the traceback to report")
