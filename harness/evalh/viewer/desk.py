"""What the pages write, where `evalh view --label` allows it: labels, and cases from production's workflows.

Both go through the code behind `evalh label` and `evalh dataset add`, into the same files. One is written at a time.
"""

from collections.abc import Mapping
from threading import Lock
from typing import Literal
from urllib.parse import parse_qs

from msgspec import Struct, field

from evalh.api.incidents.adding import Adding
from evalh.api.labels import Labelling, labelled_by, labelling
from evalh.api.viewing import LiveLog
from evalh.core.calibration import GOOD
from evalh.core.case import ABSENT, Absent
from evalh.core.errors import UsageError
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.report.html.markup import Child, asking, el, place
from evalh.viewer.case_page import CaseForm, added_page, case_page, choose_suite
from evalh.viewer.frame import PageAnswer, message
from evalh.viewer.label_page import LabelState, all_labelled, label_page, suites_page

_MOST_NOTE = 2_000
_MOST_SKIPPED = 100
_SHORT = 24  # characters of the short name of an output


def switched_off(depth: int) -> PageAnswer:
    """Say how to let the pages write."""
    lines: list[Child] = ["To write labels, or cases from production, start the viewer with:"]
    lines.append(el("pre", "evalh view --label"))
    lines.append("Or, in a terminal:")
    lines.append(el("pre", "evalh label SUITE\nevalh dataset add SUITE --from WORKFLOW"))
    return message("These pages are read-only", lines, depth=depth, status=403)


class Desk(Struct):
    """Where a person labels and makes cases."""

    viewing: LiveLog
    author: str
    _lock: Lock = field(default_factory=Lock)

    # -- labels

    def label_page(self, suite: str | None, asked: str) -> PageAnswer:
        """Show the next output to be labelled, or the suites. Raises EvalhError."""
        with self.viewing.looking() as looking:
            if suite is None:
                suites = {name: labelled_by(looking, name, self.author) for name in looking.suites()}
                return suites_page(suites, self.author)
            fields = {name: values[-1] for name, values in parse_qs(asked, max_num_fields=20).items()}
            about = fields.get("about", GOOD)
            work = labelling(looking, suite, about=about, author=self.author)
            state = LabelState(skipped=_skipped(fields.get("skip", "")), said=fields.get("said", ""))
            case, _, output = fields.get("again", "").partition(".")
            if output:
                return label_page(work, work.question(case, output), state)
            question = next(work.questions(1, frozenset(state.skipped)), None)
            return all_labelled(work, state) if question is None else label_page(work, question, state)

    def label(self, suite: str, form: Mapping[str, str]) -> PageAnswer:
        """Write a label and lead to the next output. Raises EvalhError."""
        good = {"good": True, "bad": False}.get(form.get("says", ""))
        note = " ".join(form.get("note", "").split())
        if good is None:
            raise UsageError("good or bad?", hint="reload the page, and choose one")
        if len(note) > _MOST_NOTE:
            raise UsageError(f"a note has at most {_MOST_NOTE:,} characters", hint="go back, and make it shorter")
        about = form.get("about", GOOD)
        with self.viewing.looking() as looking, self._lock:
            work: Labelling = labelling(looking, suite, about=about, author=self.author)
            question = work.question(form.get("case", ""), form.get("output", ""))
            work.answer(question, good=good, note=note or None)
        said = f"{question.candidate.case_digest}.{question.candidate.output_digest}"
        skip = ",".join(_skipped(form.get("skip", ""))) or None
        told = {"about": None if about == GOOD else about, "skip": skip, "said": f"{form['says']}.{said}"}
        return PageAnswer(b"", status=303, headers={"Location": asking(place(suite), **told)})

    # -- cases

    def case_page(self, workflow: str, asked: str) -> PageAnswer:
        """Show the row that a workflow would be, or ask for its suite. Raises EvalhError."""
        fields = {name: values[-1] for name, values in parse_qs(asked, max_num_fields=20).items()}
        with self.viewing.looking() as looking:
            if not fields.get("suite"):
                return choose_suite(workflow, looking.suites())
            adding = Adding(looking, fields["suite"])
            return case_page(CaseForm(workflow, adding.suite.name, adding.prepare(workflow), adding.needing))

    def add_case(self, workflow: str, form: Mapping[str, str]) -> PageAnswer:
        """Write the row. Raises EvalhError, with nothing written."""
        with self.viewing.looking() as looking, self._lock:
            adding = Adding(looking, form.get("suite", ""))
            prepared = adding.prepare(workflow)
            if prepared.fitting.guessed and form.get("matched") != "yes":
                raise UsageError(
                    "the inputs were read back from the messages",
                    hint="go back, check them, and confirm that they are right",
                )
            added = adding.add(prepared, _expected(form.get("expected", "")))
            return added_page(workflow, adding.suite.name, added, guarded=adding.guarded(added.id))


def _skipped(text: str) -> tuple[str, ...]:
    return tuple(one for one in text.split(",") if len(one) == _SHORT)[-_MOST_SKIPPED:]


def _expected(text: str) -> JsonValue | Literal[Absent.ABSENT]:
    if not text.strip():
        return ABSENT
    try:
        return parse(text)
    except NotStrictJson as exc:
        raise UsageError(
            f"what is expected is not JSON: {exc.in_line}", hint='go back: "a text" in quotes, or {"key": …}'
        ) from None
