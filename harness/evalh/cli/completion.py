"""`evalh completion`: suites, versions, models and ids at a press of Tab.

What a shell's completion calls: the entry point calls `complete` if the shell asks.

click knows verbs and options; what stands in their place in this workspace is found by `api.completion`.
"""

import os
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

from evalh.cli.app import App


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_obj
def command(app: App, shell: str) -> None:
    """Print the shell code that completes verbs, options, suites, versions and ids.

    \b
      bash: eval "$(evalh completion bash)" in ~/.bashrc
      zsh:  eval "$(evalh completion zsh)" in ~/.zshrc, after compinit
      fish: evalh completion fish > ~/.config/fish/completions/evalh.fish
    """  # noqa: D301 (click's \b keeps the examples' lines)
    click.echo(script(shell), nl=False, file=app.answer)


VARIABLE = "_EVALH_COMPLETE"
_PROGRAM = "evalh"

_BY_NAME: Mapping[str, tuple[str, ...]] = {
    "suite": ("suites",),
    "suites": ("suites",),
    "target": ("suites", "versions"),
    "prompt": ("versions",),
    "prompts": ("versions",),
    "ref": ("versions",),
    "base": ("versions",),
    "head": ("versions",),
    "model": ("models",),
    "models": ("models",),
    "run": ("runs",),
    "runs": ("runs",),
    "run_id": ("runs",),
    "dataset": ("datasets",),
    "cases": ("cases",),
    "case_id": ("cases",),
}
"""What a parameter of this name takes, in every verb but those below."""
_BY_VERB: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("show", "name"): ("runs", "cases"),
    ("explain", "name"): ("suites", "models"),
    ("list", "name"): ("prompts",),
    ("log", "name"): ("prompts",),
    ("new", "name"): ("prompts",),
    ("release", "name"): ("prompts",),
    ("gate", "base"): (),  # git's revisions
    ("gate", "head"): (),
}


class NameType(click.ParamType):  # type: ignore[type-arg]  # generic in newer clicks alone
    """A parameter that takes one of the workspace's names."""

    name = "text"

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self._kinds = kinds

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """Return the names with this beginning."""
        from evalh.api.completion import names

        del param
        folder = ctx.find_root().params.get("folder") or "."
        found = (one for kind in self._kinds for one in names(kind, folder, incomplete))
        return [CompletionItem(one.text, help=one.about) for one in found]


class Bash(BashComplete):
    """bash, which splits words at `@` and `:` and replaces only the last part."""

    source_template = """\
%(complete_func)s() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case "${line%%%%,*}" in
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
            plain) COMPREPLY+=("${line#*,}") ;;
        esac
    done < <(COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" COMP_CUR="${COMP_WORDS[COMP_CWORD]}" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null || complete -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Read the line up to the cursor."""
        before = os.environ["COMP_LINE"].encode()[: int(os.environ["COMP_POINT"])].decode("utf-8", "ignore")
        words = split_arg_string(before)[1:]
        incomplete = words.pop() if words and not before.endswith((" ", "\t")) else ""
        kept = max(0, len(incomplete) - len(os.environ.get("COMP_CUR", incomplete)))
        self._typed = kept - incomplete[:kept].endswith("@")  # a special prefix to readline: it is replaced too
        return words, incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Write one completion, without the part before the word that bash replaces."""
        return f"{item.type},{str(item.value)[self._typed :] if item.type == 'plain' else item.value}"


_SHELLS: Mapping[str, type[ShellComplete]] = {"bash": Bash, "zsh": ZshComplete, "fish": FishComplete}


def script(shell: str) -> str:
    """Return the code that a shell runs once."""
    chosen = _SHELLS[shell]
    asked = chosen(click.Command(_PROGRAM), {}, _PROGRAM, VARIABLE)
    return chosen.source_template % asked.source_vars()  # click's own `source` would start a bash to see its version


def complete(cli: click.Group, instruction: str) -> None:
    """Print the completions for the line in the environment."""
    shell = instruction.partition("_")[0]
    context = click.Context(cli, info_name=_PROGRAM, resilient_parsing=True)
    _name(cli, context)
    answer = _SHELLS[shell](cli, {}, _PROGRAM, VARIABLE).complete()
    click.echo(answer.encode("utf-8", "replace"))


def _name(group: click.Group, context: click.Context) -> None:
    """Give the parameters of the verb in the line their completions; other verbs are not imported."""
    words = os.environ.get("COMP_LINE", os.environ.get("COMP_WORDS", "")).split()
    for verb in dict.fromkeys(words):
        command = group.get_command(context, verb) if verb in group.list_commands(context) else None
        if isinstance(command, click.Group):
            _name(command, context)
        elif command is not None:
            for parameter in command.params:
                kinds = _BY_VERB.get((verb, parameter.name or ""), _BY_NAME.get(parameter.name or "", ()))
                if kinds and isinstance(parameter.type, click.types.StringParamType):
                    parameter.type = NameType(kinds)
