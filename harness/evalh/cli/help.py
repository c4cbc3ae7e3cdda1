"""`evalh help`: the help of a verb."""

import click

from evalh.cli.app import App
from evalh.core.errors import UsageError


@click.command("help")
@click.argument("verbs", nargs=-1, metavar="[VERB]...")
@click.pass_context
def command(ctx: click.Context, verbs: tuple[str, ...]) -> None:
    """Show the help of a verb, like VERB --help.

    \b
      evalh help run
      evalh help dataset add
    """  # noqa: D301 (click's \b keeps the examples' lines)
    assert isinstance(ctx.obj, App)
    assert ctx.parent is not None
    found, place = ctx.parent.command, ctx.parent
    for name in verbs:
        inner = found.get_command(place, name) if isinstance(found, click.Group) else None
        if inner is None:
            raise UsageError(f"`{place.command_path}` has no verb {name!r}", hint=f"{place.command_path} --help")
        found, place = inner, click.Context(inner, info_name=name, parent=place)
    click.echo(found.get_help(place), file=ctx.obj.answer)
