"""`evalh label`: a person says which outputs are good."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from shlex import quote
from typing import TYPE_CHECKING, TypeAlias

import click

from evalh.cli.app import App, Count, verb
from evalh.core.errors import UsageError

if TYPE_CHECKING:
    from evalh.api.labels import Labelling, LabelQuestion

Read: TypeAlias = Callable[[App], tuple[str, str | None]]
"""Waits for a person's answer: a key and a note."""

_KEYS = "g good · b bad · s skip · u undo · q stop"
_ALSO = {"y": "g", "n": "b"}  # yes and no, for those who answer the question
_MEANING = (
    ("g", "good: {yes} (y does the same)"),
    ("b", "bad: {no} (n does the same)"),
    ("s", "skip: you do not know; it may be asked again later"),
    ("u", "undo: take back the last answer, and show that output again"),
    ("q", "stop: all answers are saved"),
)


@click.command("label")
@click.argument("suite", required=False)
@click.option("--about", default="good", metavar="GRADER", help="Label whether an output should pass this grader.")
@click.option("--run", "runs", multiple=True, metavar="RUN", help="Only outputs of this run; repeats.")
@click.option("--production", is_flag=True, help="Only production's answers that evalh grade has judged.")
@click.option(
    "--feedback",
    type=click.Choice(["good", "bad", "none"]),
    help="With --production: only workflows with this vote of users.",
)
@click.option("--author", metavar="NAME", help="Who labels.  [default: git's user.email]")
@click.option("--number", type=Count(), default=20, show_default=True, help="Most outputs to label.")
@click.option("--expected", is_flag=True, help="Show what the dataset expects.")
@click.option("--status", is_flag=True, help="Show how many outputs are labelled; ask nothing.")
@verb
def command(  # noqa: PLR0913 (one parameter per option is click's contract)
    app: App,
    *,
    suite: str | None,
    about: str,
    runs: tuple[str, ...],
    production: bool,
    feedback: str | None,
    author: str | None,
    number: int,
    expected: bool,
    status: bool,
) -> None:
    """Label outputs of the log as good or bad, blind to version, model and order.

    Asks for equally many outputs of each verdict of the judge or the graders, and of what users said of production's
    answers. Keys: g good, b bad, s skip, u undo, q stop. Every label is saved at once in
    <datasets>/labels/SUITE/AUTHOR.jsonl, for git.

    \b
      evalh label triage
      evalh label triage --about tone --number 50
      evalh label triage --production --feedback bad
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.labels import LabelSource, labelling

    if feedback is not None and not production:
        raise UsageError("--feedback needs --production", hint=f"evalh label … --production --feedback {feedback}")
    source = LabelSource(runs=runs, production=production, feedback=feedback)
    work = labelling(app.workspace, suite, about=about, author=author, source=source)
    if not (status or app.json):
        with reader("gbynsuq", _KEYS) as read:
            kept = _ask(app, work, read, list(work.questions(number)), expected=expected)
        if kept:
            app.hints.print(f"next: git add {quote(str(work.file.path.relative_to(app.workspace.root)))}", style="dim")
        work = labelling(app.workspace, suite, about=about, author=author, source=source)
    from evalh.report.documents.judging import labels_document
    from evalh.report.terminal.calibration import show_status

    document = labels_document(work.suite.name, about, work.candidates, work.labels)
    if app.json:
        app.show_json(document)
    else:
        show_status(app.console, document)


def _ask(app: App, work: "Labelling", read: "Read", questions: "list[LabelQuestion]", *, expected: bool) -> int:
    """Ask until nothing is left or the person stops; return the number of labels kept."""
    if questions:
        _begin(app, work)
    kept: list[tuple[int, int]] = []  # (question, where its answer stands in the file)
    at = 0
    while at < len(questions):
        _show(app, questions[at], f"{at + 1} of {len(questions)}", expected=expected)
        pressed, note = read(app)
        key = _ALSO.get(pressed, pressed)
        if key == "q":
            break
        if key == "u":
            if kept:
                at, begins = kept.pop()
                work.file.take_back(begins)
            continue
        if key in ("g", "b"):
            kept.append((at, work.answer(questions[at], good=key == "g", note=note)))
        at += 1
    return len(kept)


def _begin(app: App, work: "Labelling") -> None:
    """Show what is judged by, once, and what each key means."""
    from evalh.core.calibration import GOOD
    from evalh.report.terminal.calibration import show_rubrics

    show_rubrics(app.console, work.rubrics())
    yes, no = "you would use it as it is", "you would not"
    if work.about != GOOD:
        yes, no = f"it should pass {work.about}", "it should not"
    for key, meaning in _MEANING:
        app.hints.print(f"{key}  {meaning.format(yes=yes, no=no)}", style="dim", markup=False)


def _show(app: App, question: "LabelQuestion", title: str, *, expected: bool) -> None:
    from evalh.report.terminal.calibration import show_question

    show_question(app.console, question.case, question.text, question.tool_calls, title=title, expected=expected)
    app.hints.print(_KEYS, style="dim")


@contextmanager
def reader(keys: str, help_: str) -> Iterator["Read"]:
    """Read single keys from a terminal, lines from anything else. `q` is the key that stops."""
    try:
        import termios
        import tty

        before = termios.tcgetattr(sys.stdin)
    except (ImportError, OSError, ValueError, termios.error):
        yield partial(_line, keys, help_)
        return
    try:
        tty.setcbreak(sys.stdin, termios.TCSADRAIN)  # once: what is typed ahead is not thrown away
        yield partial(_key, keys, help_)
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _key(keys: str, help_: str, app: App) -> tuple[str, str | None]:
    while pressed := os.read(sys.stdin.fileno(), 1).decode("ascii", "replace").lower():
        if pressed in keys:
            return pressed, None
        if pressed == "\x04":
            break
        app.hints.print(help_, style="dim")
    return "q", None


def _line(keys: str, help_: str, app: App) -> tuple[str, str | None]:
    """Read `g`, or `b it blames the customer`: the text after the letter is kept as a note."""
    for line in sys.stdin:
        key, _, note = line.strip().partition(" ")
        if key.lower() in tuple(keys):
            return key.lower(), note.strip() or None
        app.hints.print(help_, style="dim")
    return "q", None
