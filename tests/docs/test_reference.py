"""The reference cannot drift: it is generated from the program, and compared."""

import os
from pathlib import Path

import click

from evalh.cli.main import VERBS, cli

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/commands.md"
WRITE = os.environ.get("EVALH_GOLDEN") == "write"


def test_every_verb_and_option_is_in_the_reference() -> None:
    text = "# Commands\n\nGenerated from `evalh --help`; `make golden` writes it again.\n"
    for path, command in _commands():
        # A command keeps the first help option that it was asked for: the same as the program's, or order would tell.
        names = cli.context_settings["help_option_names"]
        context = click.Context(
            command, info_name=path, max_content_width=100, terminal_width=100, help_option_names=names
        )
        text += f"\n## {path}\n\n```text\n{command.get_help(context)}\n```\n"
    if WRITE:
        PAGE.write_text(text, encoding="utf-8")

    assert PAGE.read_text(encoding="utf-8") == text


def _commands() -> list[tuple[str, click.Command]]:
    context = click.Context(cli, info_name="evalh")
    found: list[tuple[str, click.Command]] = [("evalh", cli)]
    for verb in VERBS:
        command = cli.get_command(context, verb)
        assert command is not None
        found.append((f"evalh {verb}", command))
        if isinstance(command, click.Group):
            found.extend((f"evalh {verb} {name}", command.commands[name]) for name in command.commands)
    return found
