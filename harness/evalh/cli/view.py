"""`evalh view`: the runs in a browser, on this machine."""

import sys
import webbrowser

import click

from evalh.cli.app import App, verb
from evalh.core.errors import ExitCode


@click.command("view")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on.  [default: a free one]")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on: 127.0.0.1 or ::1, for this machine only.",
)
@click.option("--open/--no-open", "opens", default=False, help="Open a browser.  [default: print the address]")
@click.option(
    "--label", "labels", is_flag=True, help="Allow labels, and cases from production, to be written in the browser."
)
@click.option("--author", metavar="NAME", help="Who labels.  [default: git's user.email]")
@verb
def command(app: App, *, port: int, host: str, opens: bool, labels: bool, author: str | None) -> int:
    """Show the workspace's runs, reports and production in a browser.

    The address holds a new secret each time. The pages are read-only, unless --label is given. Ctrl-C stops the
    server.

    \b
      evalh view
      evalh view --port 8000 --open
      evalh view --label
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.labels import who
    from evalh.api.viewing import LiveLog
    from evalh.viewer.access import Door
    from evalh.viewer.desk import Desk
    from evalh.viewer.routes import Routes
    from evalh.viewer.server import listen, serve

    viewing = LiveLog(app.workspace)
    viewing.mend()
    desk = Desk(viewing, author or who(app.workspace)) if labels else None
    with listen(host, port) as listening:
        address, port = listening.getsockname()[:2]
        door = Door(address, port, writes=labels)

        def ready() -> None:
            _tell(app, door.url, address, port)
            if opens and not webbrowser.open(door.once()):
                print("no browser found: open the address yourself", file=sys.stderr)

        try:
            serve(listening, door, Routes(viewing, desk), ready)
        except KeyboardInterrupt:  # the way it is meant to end: nothing is lost
            print("stopped", file=sys.stderr)
    return ExitCode.INTERRUPTED


def _tell(app: App, url: str, host: str, port: int) -> None:
    if app.json:
        from evalh.report.documents.workspace import ViewDocument

        app.show_json(ViewDocument(url=url, host=host, port=port))
    else:
        click.echo(url, file=app.answer)
        print("the runs of this workspace, for this machine only; Ctrl-C stops it", file=sys.stderr)
    app.answer.flush()
