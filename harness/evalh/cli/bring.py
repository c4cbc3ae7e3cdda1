"""`evalh import`: what other programs recorded."""

import click

from evalh.cli.bring_otel import otel


@click.group("import")
def command() -> None:
    """Bring in what other programs recorded."""


command.add_command(otel)
