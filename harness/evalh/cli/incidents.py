"""`evalh dataset add`, the conversation: what is expected, whether a thumb down is a failure."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from decimal import Decimal
from shlex import quote
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from evalh.cli.app import App
from evalh.cli.label import reader
from evalh.core.case import ABSENT
from evalh.core.errors import UsageError
from evalh.core.strict_json import NotStrictJson, parse

if TYPE_CHECKING:
    from evalh.api.incidents.row import RowDraft
    from evalh.core.strict_json import JsonValue
    from evalh.report.documents.incoming import AddedDocument, AddedRow, LiveTrials

_KEYS = "b bad: add it · g good after all · s skip · q stop"


class Questions:
    """Adds cases to a suite, and asks where something is missing."""

    def __init__(
        self, app: App, suite: str, *, accept_match: bool, trials: int | None, budget_usd: Decimal | None
    ) -> None:
        from evalh.api.incidents.adding import Adding

        self._app = app
        self._adding = Adding(app.workspace, suite)
        self._accept_match = accept_match
        self._trials = trials
        self._budget_usd = budget_usd
        self._added: list[AddedRow] = []

    def document(self) -> "AddedDocument":
        """Return what was added."""
        from evalh.report.documents.incoming import AddedDocument

        return AddedDocument(suite=self._adding.suite.name, added=tuple(self._added))

    def add_all(self, names: tuple[str, ...], expected: str | None) -> None:
        """Add what ids name. Raises EvalhError at the first that cannot be."""
        stated = None if expected is None else read_expected(expected)
        for name in names:
            self._add(self._adding.prepare(name), ABSENT if expected is None else stated)

    def ask_about_votes(self, since: str) -> None:
        """Show one workflow after the other that users said was bad: a person says whether it is a failure."""
        from evalh.report.terminal.workflow import show_workflow
        from evalh.report.text import plural

        production = self._app.workspace.production
        known = self._adding.known_workflows()
        waiting = [name for name in production.voted_down(since) if name not in known]
        if not waiting:
            self._app.hints.print("no workflow was voted bad, except those that are cases already")
            return
        for place, name in enumerate(waiting, 1):
            self._app.hints.rule(f"{place} of {plural(len(waiting), 'workflow')}", style="dim")
            show_workflow(self._app.hints, production.detail(name))
            self._app.hints.print(_KEYS, style="dim")
            with reader("bgsq", _KEYS) as read:  # for this key alone: what is expected is typed as a line
                key, said = read(self._app)
            if key == "q":
                return
            if key == "b":
                self._add_voted(name, said)

    def _add_voted(self, name: str, said: str | None) -> None:
        """Add one; what cannot be added is told, and the next one comes."""
        try:
            stated = ABSENT if said is None else read_expected(said)
            self._add(self._adding.prepare(name), stated)
        except UsageError as exc:
            self._app.hints.print(f"not added: {exc}", style="yellow", markup=False, soft_wrap=True)

    def _add(self, prepared: "RowDraft", expected: "JsonValue") -> None:
        if prepared.fitting.guessed:
            self._show_match(prepared)
        if expected is ABSENT and self._adding.needing:
            expected = self._ask_expected(prepared)
        added = self._adding.add(prepared, expected)
        from evalh.report.documents.document import document_of
        from evalh.report.documents.incoming import AddedRow, RecordedVerdict
        from evalh.report.terminal.incidents import show_added, show_live

        verdicts = tuple(
            RecordedVerdict(
                grader=one.grader, required=one.required, outcome=one.verdict.outcome, reason=one.verdict.reason
            )
            for one in added.verdicts
        )
        row: AddedRow = document_of(AddedRow, added, verdicts=verdicts, live=None)
        if not self._app.json:
            show_added(self._app.console, row)  # before anybody is asked: the row is there whatever comes of that
        live = self._live(added.id)
        self._added.append(replace(row, live=live))
        if not self._app.json:
            if live is not None:
                show_live(self._app.console, live)
            self._suggest(row)

    def _suggest(self, row: "AddedRow") -> None:
        lines = [f"git diff {quote(row.dataset)}; evalh run {quote(self._adding.suite.name)} --case {quote(row.id)}"]
        if not self._adding.guarded(row.id):
            lines.append("once it passes, gate: must_pass: {tags: [incident]} in the suite keeps it passing")
        for line in lines:
            self._app.hints.print(f"next: {line}", style="dim", soft_wrap=True, markup=False)

    def _show_match(self, prepared: "RowDraft") -> None:
        """Show inputs that were read back from messages. Raises UsageError unless they are accepted."""
        from evalh.report.terminal.incidents import show_match

        show_match(self._app.hints, prepared.fitting.whose, prepared.fitting.inputs)
        if self._accept_match:
            return
        if self._asks() and click.confirm("are these its inputs?", err=True):
            return
        what = f"the inputs of {prepared.recorded.name} were read back from its messages; nothing was added"
        raise UsageError(what, hint="--accept-match accepts them as shown")

    def _ask_expected(self, prepared: "RowDraft") -> "JsonValue":
        """Ask for what is expected, with the recorded output to edit. Raises UsageError where nobody can be asked."""
        from evalh.api.incidents.recorded import readable

        if not self._asks():
            raise self._adding.asks_for_expected(prepared)
        completion = prepared.recorded.completion
        said = None if completion is None else json.dumps(readable(completion.text), ensure_ascii=False)
        needing = ", ".join(self._adding.needing)
        prompt = f"expected, as JSON ({needing})"
        if not self._app.answer.isatty():
            return click.prompt(prompt, default=said, value_proc=_read_prompt, err=True)
        with redirect_stdout(self._app.answer), _filled_in(said or ""):  # a line is edited on stdout alone
            return click.prompt(prompt, value_proc=_read_prompt)

    def _asks(self) -> bool:
        return sys.stdin.isatty() and not self._app.json

    def _live(self, case_id: str) -> "LiveTrials | None":
        """Ask the live version, if that was asked for. Raises EvalhError; the row stays."""
        from evalh.cli.progress import progress_for
        from evalh.report.documents.incoming import LiveTrials

        if self._trials is None:
            return None
        result = self._adding.tried(case_id, self._trials, self._budget_usd, progress_for(self._app))
        counted = result.summary.apart  # the row has the tag
        return LiveTrials(
            version=self._adding.version.label,
            run=result.record.id,
            trials=counted.samples,
            good=counted.good,
            bad=counted.bad,
            ungraded=counted.ungraded,
        )


def read_expected(text: str) -> "JsonValue":
    """Read what is expected. Raises UsageError."""
    try:
        return parse(text)
    except NotStrictJson as exc:
        hint = f"write a text in quotes: --expected '{json.dumps(text, ensure_ascii=False)}'"
        raise UsageError(f"what is expected is not JSON: {exc.in_line}", hint=hint) from None


@contextmanager
def _filled_in(text: str) -> Iterator[None]:
    """Put a text into the line that is typed next, to be edited."""
    try:
        import readline
    except ImportError:  # there is none on every system: the line begins empty there
        yield
        return
    readline.set_startup_hook(lambda: readline.insert_text(text))
    try:
        yield
    finally:
        readline.set_startup_hook()


def _read_prompt(text: str) -> "JsonValue":
    try:
        return parse(text)
    except NotStrictJson as exc:
        raise click.UsageError(f"{exc.in_line}; write a text in quotes") from None
