"""The entry point: finds the verb, maps errors to exit codes."""

import os
import sys
import traceback
from importlib import import_module
from typing import NoReturn

import click

from evalh.cli.app import App
from evalh.core.errors import EvalhError, nearest
from evalh.core.exits import ExitCode

VERBS = (
    "run",
    "check",
    "prompt",
    "render",
    "show",
    "calls",
    "explain",
    "sql",
    "model",
    "export",
    "init",
    "doctor",
)
"""In the order of `evalh --help`: what a person does first stands first."""


class Verbs(click.Group):
    """Imports a verb's module when the verb is named: `evalh run` pays for `run` alone."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which people meet them."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb. Raises click's UsageError with the nearest verb for an unknown one."""
        if cmd_name in VERBS:
            command: click.Command = import_module(f"evalh.cli.{cmd_name}").command
            return command
        guess = nearest(cmd_name, VERBS)
        advice = f"; did you mean `evalh {guess}`?" if guess else ""
        raise click.UsageError(f"there is no verb {cmd_name!r}{advice}", ctx)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("-C", "--workspace", "folder", default=".", metavar="DIR", help="Start looking for evalh.toml here.")
@click.version_option(package_name="evalh", message="evalh %(version)s")
@click.pass_context
def cli(ctx: click.Context, folder: str) -> None:
    """Versions, tests, a price and a merge gate for prompts."""
    ctx.obj = App(folder)


def main() -> NoReturn:
    """Run the command line; exit codes as in docs/reference/exit-codes.md."""
    code = _run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader (head, less) left: not an error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _run() -> int:
    app: App | None = None
    try:
        with cli.make_context("evalh", sys.argv[1:]) as ctx:
            app = ctx.obj
            outcome = cli.invoke(ctx)
            return outcome if isinstance(outcome, int) else ExitCode.YES
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except BrokenPipeError:
        return ExitCode.YES
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as exc:  # noqa: BLE001 (the one place that turns errors into exit codes)
        return _explain(exc, as_json=(app is not None and app.json) or "--json" in sys.argv)


def _interrupted() -> ExitCode:
    print("interrupted", file=sys.stderr)
    return ExitCode.INTERRUPTED


def _explain(exc: Exception, *, as_json: bool) -> int:
    match exc:
        case EvalhError():
            _show_error(exc, as_json=as_json)
            return exc.exit_code
        case click.Abort():
            return _interrupted()
        case click.ClickException():
            _show_error(EvalhError(exc.format_message(), hint=_usage(exc)), as_json=as_json)
            return ExitCode.USAGE
        case _:
            return _show_bug(exc)


def _usage(exc: click.ClickException) -> str | None:
    context = exc.ctx if isinstance(exc, click.UsageError) else None
    return f"see `{context.command_path} --help`" if context is not None else None


def _show_error(error: EvalhError, *, as_json: bool) -> None:
    from evalh.report.text import safe

    if as_json:
        import json

        problem = {"what": error.what, "where": error.where, "hint": error.hint, "exit": int(error.exit_code)}
        print(json.dumps({"schema": "evalh.error/1", "error": problem}, indent=2))
        return
    place = f"{error.where}: " if error.where else ""
    print(safe(f"error: {place}{error.what}"), file=sys.stderr)
    if error.hint:
        print(safe(f"  {error.hint}"), file=sys.stderr)


def _show_bug(exc: Exception) -> ExitCode:
    if os.environ.get("EVALH_DEBUG"):
        traceback.print_exc()
    else:
        last = traceback.extract_tb(exc.__traceback__)[-1]
        print(
            f"this is a bug in evalh: {type(exc).__name__}: {exc} ({os.path.basename(last.filename)}:{last.lineno})\n"  # noqa: PTH119
            "  what was paid for is saved; EVALH_DEBUG=1 shows the traceback to report",
            file=sys.stderr,
        )
    return ExitCode.BUG
