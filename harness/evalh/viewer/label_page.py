"""Labelling in the browser: one output after the other, blind to version, model and order, as `evalh label` asks."""

from collections.abc import Mapping
from shlex import quote

from evalh.api.labels import Labelling, LabelQuestion, short_name
from evalh.core.calibration import GOOD
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.report.html.markup import Child, Markup, asking, el, join, place
from evalh.report.html.parts import shown_json
from evalh.report.text import one_line, plural
from evalh.viewer.frame import PageAnswer, framed, tabs

_KEYS = {"g": "good", "b": "bad", "s": "skip", "u": "change the last answer", "w": "write a note"}
"""As in `evalh label`, where a note is typed behind the letter. `y` and `n`, for yes and no, are good and bad, too."""


class LabelState(Value, kw_only=True):
    """What a page of labelling carries along in its address."""

    skipped: tuple[str, ...]  # short names of outputs
    said: str  # `good.CASE.OUTPUT`: the last answer; empty: there is none


def suites_page(suites: Mapping[str, Mapping[str, int]], author: str) -> PageAnswer:
    """Show which suites can be labelled, and where this author's labels are: their numbers by what they are about."""
    rows = [el("li", el("a", name, href=place("label", name)), _begun(name, mine)) for name, mine in suites.items()]
    lines = "Outputs of the newest runs are shown one by one, without version and model: is each good?"
    top = el("header", el("h1", "Label outputs"), el("p", lines), _who(author), class_="verdict")
    return framed("label", join(top, el("ul", rows)), links=tabs(), here="Label")


def _begun(suite: str, mine: Mapping[str, int]) -> Child:
    told = []
    for about, count in sorted(mine.items()):
        words = "the output" if about == GOOD else about
        link = el("a", words, href=asking(place("label", suite), about=None if about == GOOD else about))
        told.append([" · ", link, f", {count:,} labelled"])
    return told


def all_labelled(work: Labelling, state: LabelState) -> PageAnswer:
    """Show that nothing is left, and what to do with the labels."""
    done = "You labelled every output of the suite's newest runs." if work.mine else "The suite's runs have no output."
    skipped: Child = None
    if state.skipped:
        again = el("a", "Show them.", href=asking(place(work.suite.name), about=_about(work)))
        skipped = el("p", f"{plural(len(state.skipped), 'output')} skipped. ", again)
    judges = (
        [el("pre", f"evalh calibrate {quote(work.about)} --suite {quote(work.suite.name)}")]
        if work.about != GOOD
        else []
    )
    top = el("header", el("h1", f"{work.suite.name}: nothing left to label"), el("p", done), skipped, class_="verdict")
    return framed("label", join(top, _files(work), judges), links=tabs(1), here="Label")


def label_page(work: Labelling, question: LabelQuestion, state: LabelState) -> PageAnswer:
    """Show one output with what was asked, and the form of the answer."""
    labelled, outputs = len(work.mine), len({(one.case_digest, one.output_digest) for one in work.candidates})
    asks = "Is this output good?" if work.about == GOOD else f"Should this output pass {work.about}?"
    top = el(
        "header",
        el("h1", asks),
        el("p", f"{work.suite.name} · {labelled:,} of {outputs:,} outputs labelled by you", class_="note"),
        _last(work, state),
        class_="verdict",
    )
    inputs = [el("div", el("h3", name), _text(value)) for name, value in question.case.inputs.items()]
    calls = [el("pre", f"{call.name}({call.arguments})") for call in question.tool_calls]
    output = el("section", el("h2", "Output"), el("pre", question.text or "(empty)", class_="output"), calls)
    main = join(
        top,
        _rubric(work),
        el("div", el("section", el("h2", "Asked"), inputs), output, class_="asked"),
        _form(work, question, state),
        _abouts(work),
        _files(work),
    )
    return framed("label", main, links=tabs(1), here="Label", script="label.js")


def _form(work: Labelling, question: LabelQuestion, state: LabelState) -> Markup:
    candidate = question.candidate
    hidden = {"case": candidate.case_digest, "output": candidate.output_digest, "about": work.about}
    hidden |= {"skip": ",".join(state.skipped)}
    kept = [*state.skipped, short_name(candidate)]
    skip = asking(place(work.suite.name), about=_about(work), skip=",".join(kept))
    buttons = [
        el("button", words, " ", el("kbd", key), name="says", value=value, type="submit", class_=value, id=value)
        for words, value, key in (("Good", "good", "g"), ("Bad", "bad", "b"))
    ]
    note = el("input", type="text", name="note", id="note", maxlength=2000, autocomplete="off")
    keys = [[el("kbd", key), f" {words}  "] for key, words in _KEYS.items()]
    return el(
        "form",
        [el("input", type="hidden", name=name, value=value) for name, value in hidden.items()],
        el("p", el("label", "A note, if you like ", note)),
        el("p", buttons, el("a", "Skip ", el("kbd", "s"), href=skip, id="skip"), class_="answers"),
        el("p", keys, class_="note keys"),
        method="post",
        id="answer",
    )


def _last(work: Labelling, state: LabelState) -> Markup | None:
    says, _, item = state.said.partition(".")
    if says not in ("good", "bad"):
        return None
    again = asking(place(work.suite.name), about=_about(work), skip=",".join(state.skipped) or None, again=item)
    return el("p", f"Written: {says}. ", el("a", "Change it", href=again, id="undo"), role="status", class_="note")


def _rubric(work: Labelling) -> Child:
    """Show the judges' rubrics, folded: a person labels by the same words."""
    told = []
    for one in work.rubrics():
        text = f"evalh prompt show {quote(str(one.where))}" if one.text is None else one.text
        told.append(el("details", el("summary", f"The rubric of {one.judge}"), el("pre", text)))
    return told


def _abouts(work: Labelling) -> Markup:
    names = [GOOD, *(one.name for one in work.suite.graders)]
    links = [
        [" ", el("a", name, href=asking(place(work.suite.name), about=name))] for name in names if name != work.about
    ]
    return el("p", "Label what one grader judges, or the whole output:", links, class_="note")


def _files(work: Labelling) -> Markup:
    path = work.file.path
    return el("p", "Your labels are in ", el("code", "/".join(path.parts[-4:])), ". Commit the file.", class_="note")


def _who(author: str) -> Markup:
    return el("p", f"You label as {one_line(author, 80)}.", class_="note")


def _about(work: Labelling) -> str | None:
    return None if work.about == GOOD else work.about


def _text(value: JsonValue) -> Markup:
    return el("pre", value if isinstance(value, str) else shown_json(value))
