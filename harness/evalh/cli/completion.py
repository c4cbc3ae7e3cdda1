"""`evalh completion`: suites, versions, models and ids at a press of Tab."""

import click

from evalh.cli.app import App


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_obj
def command(app: App, shell: str) -> None:
    """Print what makes a shell complete verbs, options, suites, versions, models and ids.

    \b
      bash: eval "$(evalh completion bash)" in ~/.bashrc
      zsh:  eval "$(evalh completion zsh)" in ~/.zshrc, after compinit
      fish: evalh completion fish > ~/.config/fish/completions/evalh.fish
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.cli.completing import script

    click.echo(script(shell), nl=False, file=app.answer)
