"""A case made of a workflow of production: what would be written, what is expected, and whether the answer was red."""

import json
from collections.abc import Sequence
from shlex import quote

from evalh.api.incidents.adding import AddedCase
from evalh.api.incidents.recorded import readable
from evalh.api.incidents.row import RowDraft
from evalh.core.sample import Standing
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import Outcome
from evalh.report.html.markup import Child, Markup, asking, el, join, place
from evalh.report.html.parts import facts, shown_json
from evalh.report.text import one_line
from evalh.viewer.frame import PageAnswer, framed, tabs

_DEPTH = 2


class CaseForm(Value):
    """What a page needs to know of a case that could be made."""

    workflow: str
    suite: str
    prepared: RowDraft
    needing: tuple[str, ...]  # the graders that compare with what is expected


def choose_suite(workflow: str, suites: Sequence[str]) -> PageAnswer:
    """Ask to which suite the case is added."""
    links = [el("li", el("a", name, href=asking(place("case"), suite=name))) for name in suites]
    words = "The case is added to the dataset of a suite. Which one tests what failed here?"
    top = el("header", el("h1", "Make a case"), _of(workflow), el("p", words), class_="verdict")
    return framed("make a case", join(top, el("ul", links)), links=tabs(_DEPTH), here="Production")


def case_page(form: CaseForm) -> PageAnswer:
    """Show the row, and ask for what is missing."""
    prepared = form.prepared
    inputs = [el("div", el("h3", name), _text(value)) for name, value in prepared.fitting.inputs.items()]
    top = el("header", el("h1", f"Make a case for {form.suite}"), _of(form.workflow), class_="verdict")
    told: list[tuple[str, Child]] = [("inputs", f"from {prepared.fitting.whose}")]
    if prepared.given:
        told.append(("given", ", ".join(prepared.given)))
    if prepared.replaced:
        counts = ", ".join(f"{count} {kind}" for kind, count in prepared.replaced.items())
        told.append(("personal", f"{counts}: replaced by made-up values of the same kind"))
    told += [("note", note) for note in prepared.notes]
    main = join(top, el("section", el("h2", "Asked"), inputs), facts(told), _form(form))
    return framed("make a case", main, links=tabs(_DEPTH), here="Production", script="label.js")


def _form(form: CaseForm) -> Markup:
    prepared, completion = form.prepared, form.prepared.recorded.completion
    said = "" if completion is None else json.dumps(readable(completion.text), ensure_ascii=False, indent=2)
    answered = el("section", el("h2", "What it answered"), el("pre", "" if completion is None else completion.text))
    parts: list[Child] = [el("input", type="hidden", name="suite", value=form.suite)]
    if prepared.fitting.guessed:
        words = " The inputs were read back from the messages; I checked that they are right."
        parts.append(
            el("p", el("label", el("input", type="checkbox", name="matched", value="yes", required=True), words))
        )
    if form.needing:
        compare = "compares" if len(form.needing) == 1 else "compare"
        words = f"What would have been right, as JSON ({', '.join(form.needing)} {compare} with it)"
        box = el("textarea", said, name="expected", rows=8, spellcheck="false", required=True)
        parts.append(el("p", el("label", words, box)))
    parts.append(el("p", el("button", "Add the case", type="submit"), class_="answers"))
    return el("form", answered if completion is not None else None, parts, method="post", id="case")


def added_page(workflow: str, suite: str, added: AddedCase, *, guarded: bool) -> PageAnswer:
    """Show what was written, and whether the recorded answer is red."""
    failed = [one for one in added.verdicts if one.required and one.verdict.outcome is Outcome.FAIL]
    if failed:
        why = "; ".join(f"{one.grader}: {one_line(one.verdict.reason, 160)}" for one in failed)
        said = el("p", el("strong", "red", class_="bad"), f": the recorded answer fails {why}")
    elif added.standing is Standing.GOOD:
        words = "not red: the recorded answer passes every grader, so none of them sees what was wrong"
        said = el("p", words, class_="ungraded")
    else:
        said = el("p", "not known to be red: only a grader that asks a model could tell", class_="ungraded")
    near = el("p", f"Nearly the same text: {', '.join(added.near)}") if added.near else None
    commands = [f"git diff {quote(added.dataset)}", f"evalh run {quote(suite)} --case {quote(added.id)}"]
    rule = "Once it passes, gate: must_pass: {tags: [incident]} in the suite keeps it passing."
    top = el(
        "header",
        el("h1", f"Added {added.id}"),
        el("p", el("code", f"{added.dataset}:{added.line}")),
        said,
        near,
        class_="verdict",
    )
    rest = join(el("h2", "Next"), el("pre", "\n".join(commands)), None if guarded else el("p", rule))
    return framed("case", join(top, rest, _of(workflow)), links=tabs(_DEPTH), here="Production")


def _of(workflow: str) -> Markup:
    return el("p", "From workflow ", el("a", one_line(workflow, 80), href=place("..", workflow)), class_="note")


def _text(value: JsonValue) -> Markup:
    return el("pre", value if isinstance(value, str) else shown_json(value))
