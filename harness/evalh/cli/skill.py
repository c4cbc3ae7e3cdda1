"""`evalh skill`: what a coding agent must know, as a file where it looks."""

import click

from evalh.cli.app import App, verb


@click.command("skill")
@click.option("--agents", is_flag=True, help="Write a section of AGENTS.md instead of .claude/skills/evalh/SKILL.md.")
@click.option("--print", "only_print", is_flag=True, help="Print the file instead of writing it.")
@verb
def command(app: App, *, agents: bool, only_print: bool) -> None:
    """Write a skill file that tells coding agents how to run, compare and gate.

    A file that somebody else wrote is not changed. The same command brings an older text up to date.

    \b
      evalh skill
      evalh skill --agents
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.agents.skill import skill_text, write_skill
    from evalh.api.scaffold import place_in_repository

    top, folder = place_in_repository(app.workspace)
    if only_print:
        if app.json:
            from evalh.report.documents.workspace import SkillDocument

            app.show_json(SkillDocument(file=None, state=None, text=skill_text(folder)))
            return
        click.echo(skill_text(folder), nl=False, file=app.answer)
        return
    written = write_skill(top, folder, agents=agents)
    if app.json:
        from evalh.report.documents.document import document_of
        from evalh.report.documents.workspace import SkillDocument

        app.show_json(document_of(SkillDocument, written, file=written.path, text=skill_text(folder)))
        return
    told = {"written": f"wrote {written.path}", "updated": f"updated {written.path}"}
    app.console.print(told.get(written.state, f"{written.path} is up to date"), soft_wrap=True)
    app.hints.print("next: commit it, and let agents measure too: evalh mcp --help", style="dim")
