"""`evalh mcp`: five verbs as tools for coding agents."""

import sys

import click

from evalh.cli.app import App
from evalh.core.errors import UsageError


@click.command("mcp")
@click.option("--allow-run", is_flag=True, help="Let agents run models, with a stated budget each time.")
@click.pass_obj
def command(app: App, *, allow_run: bool) -> None:
    """Serve run, compare, failures, show and check to a coding agent, over MCP on stdin and stdout.

    Only reads without --allow-run: then `run` is refused, and `compare` takes saved runs. Answers have 8 kB at most.
    Needs pip install 'evalh[mcp]'.

    \b
      claude mcp add evalh -- evalh mcp
      evalh mcp --allow-run
    """  # noqa: D301 (click's \b keeps the examples' lines)
    try:
        from evalh.agents.server import serve
    except ImportError:
        hint = "pip install 'evalh[mcp]'"
        raise UsageError("the MCP server needs the official SDK, mcp, which is not installed", hint=hint) from None
    from evalh.agents.tools import AgentTools

    root = app.workspace.root  # an error here, not at the first call
    sys.stdout = app.answer  # which opening a workspace turned to stderr: the protocol's messages are the answer
    serve(AgentTools(str(root), allow_run))
