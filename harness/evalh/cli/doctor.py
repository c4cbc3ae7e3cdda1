"""`evalh doctor`: what is missing on this machine."""

import click

from evalh.cli.app import App, verb

_MARKS = {"ok": ("ok", "green"), "missing": ("missing", "yellow"), "wrong": ("wrong", "red")}


@click.command("doctor")
@verb
def command(app: App) -> int:
    """Check this machine: workspace, git, models, keys (never shown), log.

    Exit 2 if the default suite cannot run here.
    """
    from evalh.api.doctor import examine
    from evalh.core.errors import ExitCode
    from evalh.report.terminal.console import StyledText
    from evalh.report.text import safe

    findings = examine(app.folder)
    if app.json:
        from evalh.report.documents.document import document_of
        from evalh.report.documents.workspace import DoctorDocument

        app.show_json(document_of(DoctorDocument, findings=findings))
    else:
        for finding in findings:
            word, style = _MARKS[finding.state]
            app.console.print(
                StyledText.assemble((f"{word:8s}", style), f"{finding.subject:22s}", safe(finding.what)), soft_wrap=True
            )
            if finding.hint and finding.state != "ok":
                app.console.print(StyledText(f"{'':30s}{safe(finding.hint)}", "dim"), soft_wrap=True)
    blocked = any(finding.state == "wrong" for finding in findings)
    return ExitCode.USAGE if blocked else ExitCode.YES
