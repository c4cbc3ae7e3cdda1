"""One traced workflow: its steps and calls on a time axis, beside what was handed in and came out of the chosen one."""

from collections.abc import Sequence

from evalh.analysis.outline import OutlineLine, outline
from evalh.core.production import WorkflowDetail, WorkflowGrade
from evalh.core.values import Value
from evalh.report.html.markup import Attribute, Child, Markup, asking, el, join, place
from evalh.report.html.parts import figure
from evalh.report.terminal.steps import story_sentence
from evalh.report.text import fine_milliseconds, json_line, milliseconds, one_line, plural
from evalh.viewer.frame import PageAnswer, framed, tabs
from evalh.viewer.production_page import STATES, cost, instant, tokens
from evalh.viewer.workflow_panels import Panels
from evalh_trace.records import Call, Score, Step, Workflow

_SHOWN = 2_000
"""Steps and calls of one page."""

_JUDGED = 100
_UNSEEN = "no call was seen"
_WIDE = 1000  # units of the time axis
_DEEPEST = 8


class _Axis(Value):
    """The workflow's time: how long it is, and whether it goes on."""

    whole_s: float
    ended: bool


def workflow_page(detail: WorkflowDetail) -> PageAnswer:
    """Show a workflow. The first step that failed is chosen; without a script, links lead to each."""
    workflow = detail.workflow
    lines = outline(detail)
    shown = lines[:_SHOWN]
    places = {line.item.id: number for number, line in enumerate(shown, start=1) if isinstance(line.item, Step)}
    left = f"The first {_SHOWN:,} of {len(lines):,} steps and calls are shown; the rest: evalh sql --production."
    main = join(
        el("header", _title(workflow), _about(workflow), _numbers(detail, lines), class_="verdict"),
        el("p", "", id="trouble", role="alert", class_="bad"),
        _judged(detail, places),
        el("h2", "Steps and calls", class_="hidden"),
        el("p", _keys(), class_="note keys"),
        el("p", left, class_="bad") if len(lines) > _SHOWN else None,
        _panes(detail, shown, _axis(workflow, lines), _first_failed(shown)),
    )
    live = el("div", main, id="workflow", data_live=workflow.status is None)
    return framed(one_line(workflow.name, 80), live, links=tabs(1), here="Production", script="workflow.js")


def _panes(detail: WorkflowDetail, lines: Sequence[OutlineLine], axis: _Axis, chosen: int) -> Markup:
    panels = Panels(detail)
    rows = [_row(line, number, axis, number == chosen) for number, line in enumerate(lines, 1)]
    whole = panels.of_workflow(chosen=chosen == 0)
    read_first = panels.of_line(lines[chosen - 1], chosen, chosen=True) if chosen else None  # texts have a limit
    shown = [
        read_first if number == chosen else panels.of_line(line, number, chosen=False)
        for number, line in enumerate(lines, 1)
    ]
    # What is higher than the screen is moved up and down, by the keyboard too.
    moved: dict[str, Attribute] = {"tabindex": 0, "role": "region"}
    listed = _scale(axis), el("ol", _root(detail, axis, chosen == 0), rows)
    return el(
        "div",
        el("div", listed, id="list", class_="timed" if axis.whole_s else None, aria_label="Steps and calls", **moved),
        el("div", whole, shown, id="detail", aria_label="The chosen one", **moved),
        class_="panes workflow",
    )


def _first_failed(lines: Sequence[OutlineLine]) -> int:
    """Return the number of the first that failed, not by one inside it; 0 if none did."""
    chosen = 0
    for number, line in enumerate(lines, start=1):
        if chosen and line.depth <= lines[chosen - 1].depth:
            break
        if failed(line):
            chosen = number
    return chosen


def failed(line: OutlineLine) -> bool:
    """Whether a step or call failed, or somebody said so."""
    if any(score.outcome == "fail" for score in line.scores):
        return True
    if isinstance(line.item, Step):
        return line.item.status == "error"
    return bool(line.attempts) and line.attempts[-1].status == "error"


def _axis(workflow: Workflow, lines: Sequence[OutlineLine]) -> _Axis:
    ends = [line.begin_s + (line.took_s or 0.0) for line in lines if line.begin_s is not None]
    # A call that goes on has attempts that ended.
    attempts = [one for line in lines for one in line.attempts if one.started_at is not None]
    ends += [(one.started_at or 0.0) - workflow.started_at + (one.latency_ms or 0.0) / 1000 for one in attempts]
    if workflow.ended_at is not None and ends:
        ends.append(workflow.ended_at - workflow.started_at)
    return _Axis(max(ends, default=0.0), workflow.status is not None)


# -- the top


def _title(workflow: Workflow) -> Markup:
    status = workflow.status or "not ended"
    class_ = STATES.get(status, "ungraded")
    return el("h1", one_line(workflow.name, 120) or "(no name)", " ", el("span", status, class_=class_))


def _about(workflow: Workflow) -> list[Child]:
    door = workflow.door if workflow.dialect is None else f"{workflow.door}, {workflow.dialect}"
    facts: list[Child] = ["Began ", instant(workflow.started_at), f" UTC · traced by {one_line(door, 40)} · "]
    facts.append(el("code", one_line(workflow.id, 80)))
    for name, one in (("session", workflow.session), ("user", workflow.user)):
        if one is not None:
            facts += [f" · {name} ", el("a", one_line(one, 60), href=asking(place("..", "production"), **{name: one}))]
    tags = [[" ", el("span", one_line(str(tag), 40), class_="chip")] for tag in workflow.tags[:20]]
    error = el("p", one_line(workflow.error, 400), class_="bad") if workflow.error else None
    case = el("p", el("a", "Make a case of it", href=place(workflow.id, "case")), class_="note")
    return [el("p", facts, tags, class_="note"), error, case]


def _numbers(detail: WorkflowDetail, lines: Sequence[OutlineLine]) -> Markup:
    workflow, calls = detail.workflow, [line for line in lines if isinstance(line.item, Call)]
    took = None if workflow.ended_at is None else 1000.0 * max(0.0, workflow.ended_at - workflow.started_at)
    known = {one.id: one.attempts for one in detail.calls}
    counted = sum(count for count in known.values() if count is not None)
    unseen = sum(count is None for count in known.values())
    attempts = _UNSEEN if not calls else plural(counted, "attempt") if not unseen else "attempts unknown"
    if unseen and counted:
        attempts = f"at least {plural(counted, 'attempt')}"
    wrong = sum(one.status == "error" for one in detail.attempts)
    sent, got = (sum(getattr(one, name) or 0 for one in detail.attempts) for name in ("input_tokens", "output_tokens"))
    uncounted = sum(one.input_tokens is None and one.status != "error" for one in detail.attempts)
    costs = [call_cost(line) for line in calls]
    unpriced = costs.count(None)
    bad, good = (sum(vote.good is said for vote in detail.feedback) for said in (False, True))
    said = [f"{count:,} {words}" for count, words in ((bad, "bad"), (good, "good")) if count]
    others = len(detail.feedback) - bad - good
    votes = "votes of users" if detail.feedback else "nobody voted"
    return el(
        "dl",
        figure(
            "Took", "not ended" if workflow.status is None else milliseconds(took), plural(len(detail.steps), "step")
        ),
        figure("Calls", f"{len(calls):,}" if calls else "–", f"{attempts}{f', {wrong} failed' if wrong else ''}"),
        figure(
            "Tokens",
            tokens(sent, got, uncounted),
            _missing(uncounted, "answer", "without a count") if calls else _UNSEEN,
        ),
        figure(
            "Cost",
            cost(sum(one for one in costs if one is not None), unpriced, len(calls)),
            _missing(unpriced, "call", "not priced", of=len(calls)) if calls else _UNSEEN,
        ),
        figure("Feedback", ", ".join(said) or "–", f"{others:,} other events" if others and not said else votes),
        class_="numbers",
    )


def _missing(count: int, word: str, why: str, of: int | None = None) -> str:
    if not count:
        return "in → out" if of is None else "of all attempts"
    return f"{plural(count, word)} {why}" if of is None else f"{count:,} of {plural(of, word)} {why}"


def call_cost(line: OutlineLine) -> float | None:
    """Return what all attempts of a call cost; None if one of them is unknown, or there is none."""
    costs = [attempt.cost_usd for attempt in line.attempts]
    return None if None in costs or not costs else sum(cost for cost in costs if cost is not None)


def _judged(detail: WorkflowDetail, places: dict[str, int]) -> Markup | None:
    """Show what suites, people and programs said of the workflow and its steps, failures first."""
    scores = sorted(detail.scores, key=lambda one: one.outcome != "fail")
    grades = [_graded(grade) for grade in detail.grades[:_JUDGED]]
    rows = [*grades, *(_judgement(score, places, detail) for score in scores[:_JUDGED])]
    for vote in detail.feedback[:_JUDGED]:
        word, class_ = {True: ("good", "good"), False: ("bad", "bad"), None: (one_line(vote.kind, 20), "ungraded")}[
            vote.good
        ]
        by = "a user" if vote.user is None else f"user {one_line(vote.user, 40)}"
        rows.append(_said(word, class_, "feedback", by, "the workflow", vote.note))
    if not rows:
        return None
    left = len(detail.grades) + len(detail.scores) + len(detail.feedback) - len(rows)
    more = el("p", f"{left:,} more: evalh sql --production.", class_="note") if left else None
    caption = el("caption", "Scores and feedback", class_="hidden")
    return el("div", el("table", caption, el("tbody", rows), class_="verdicts"), more, class_="judged")


def _graded(grade: WorkflowGrade) -> Markup:
    told = None if grade.story is None else f"{grade.story.word}: {story_sentence(grade.story, '“”')}"
    name, by = one_line(grade.suite, 40), one_line(grade.prompt, 60)
    return _said(grade.standing.value, grade.standing.value, f"suite {name}", by, "the workflow", told)


def _judgement(score: Score, places: dict[str, int], detail: WorkflowDetail) -> Markup:
    class_ = {"fail": "bad", "pass": "good"}.get(score.outcome or "", "ungraded")
    of: Child = "the workflow"
    if score.step_id is not None:
        step = next((one for one in detail.steps if one.id == score.step_id), None)
        name = "a step that is not there" if step is None else step_name(step)
        at = places.get(score.step_id)
        of = name if at is None else el("a", name, href=f"#p{at}", data_at=at)
    word = score.outcome or ("scored" if score.score is None else f"{score.score:g}")
    by = f"by {one_line(score.source, 40)}" if score.source else "author unknown"
    return _said(word, class_, one_line(score.name, 60), by, of, score.text)


def _said(word: str, class_: str, name: str, by: str, of: Child, text: str | None) -> Markup:
    shown = one_line(text, 1000) if text else ""
    cells = el("td", name), el("td", by, class_="dim"), el("td", of), el("td", shown, class_="dim", dir="auto")
    return el("tr", el("td", el("b", word), class_=class_), cells)


def _keys() -> list[Child]:
    pairs = (("j k", " next, previous   "), ("f", " next failed   "), ("Enter", " read it"))
    told = [[el("kbd", key), words] for key, words in pairs]
    return ["Keys: ", told, " · Bars: grey is a step, blue a call, red a failure."]


# -- the rows


def step_name(step: Step) -> str:
    """Name a step, with its position where it has one."""
    number = "" if step.position is None else f"{step.position} "
    return f"{number}{one_line(step.name, 60) or '(no name)'}"


def call_name(line: OutlineLine) -> str:
    """Name a call: what it does, and the model."""
    assert isinstance(line.item, Call)
    sent = next((one.model for one in line.attempts if one.model), None)
    model = (line.item.settings or {}).get("model") or sent or line.item.provider or "model unknown"
    return f"{one_line(line.item.operation, 20)} {one_line(str(model), 60)}"


def _scale(axis: _Axis) -> Markup | None:
    if not axis.whole_s:
        return el("p", "Times are unknown: the order is shown.", class_="scale note")
    ticks = [el("span", "0" if part == 0 else fine_milliseconds(250.0 * part * axis.whole_s)) for part in (0, 2, 4)]
    return el(
        "div",
        el("span", "step or call"),
        el("span", ticks, class_="ticks"),
        el("span", "took"),
        class_="scale",
        aria_hidden="true",
    )


def _root(detail: WorkflowDetail, axis: _Axis, chosen: bool) -> Markup:  # noqa: FBT001
    workflow = detail.workflow
    bar = _bars([(0.0, axis.whole_s, "outer")], axis) if axis.whole_s else None
    took = None if workflow.ended_at is None else milliseconds(1000 * max(0.0, workflow.ended_at - workflow.started_at))
    head = el("span", el("b", "the workflow"), class_="name")
    cells = [head, bar, el("span", took if axis.whole_s else None, class_="took")]
    gist = one_line(workflow.error or _gist(workflow.output or workflow.inputs), 160)
    return _link(0, chosen, "", "ended-badly" if workflow.error else "", cells, gist)


def _row(line: OutlineLine, number: int, axis: _Axis, chosen: bool) -> Markup:  # noqa: FBT001
    item = line.item
    if isinstance(item, Step):
        kind = el("span", f" {one_line(item.kind, 20)}", class_="dim") if item.kind not in {"step", "agent"} else None
        name: Child = [el("b", step_name(item)), kind]
    else:
        name = call_name(line)
    took = (
        "not ended"
        if line.took_s is None and not axis.ended
        else milliseconds(1000 * line.took_s)
        if line.took_s is not None
        else ""
    )
    cells = [el("span", name, class_="name"), _bars(_spans(line, axis), axis) if axis.whole_s else None]
    cells.append(el("span", took, class_="took"))
    wrong, gist = _said_of(line)
    return _link(number, chosen, f"d{min(line.depth + 1, _DEEPEST)}", "failed" if wrong else "", cells, gist)


def _link(number: int, chosen: bool, depth: str, state: str, cells: Sequence[Child], gist: str) -> Markup:  # noqa: FBT001
    mark = el("span", "failed: ", class_="hidden") if state else None
    inside = [cells, el("span", mark, gist, class_="gist bad" if state else "gist", dir="auto")]
    classes = " ".join(one for one in ("line", depth, state) if one)
    return el(
        "li", el("a", inside, href=f"#p{number}", class_=classes, data_at=number, aria_current=str(chosen).lower())
    )


def _spans(line: OutlineLine, axis: _Axis) -> list[tuple[float, float, str]]:
    """Return the bars of a line: of a call, one for each attempt whose time is known."""
    if line.begin_s is None:
        return []
    if isinstance(line.item, Step):
        state = "bad" if failed(line) else "outer"
        if line.took_s is not None:
            return [(line.begin_s, line.took_s, state)]
        return [] if axis.ended else [(line.begin_s, axis.whole_s - line.begin_s, "open")]
    begun = line.item.started_at
    timed = [one for one in line.attempts if one.started_at is not None and one.latency_ms is not None]
    if begun is not None and len(timed) == len(line.attempts) > 1:
        bars = [(line.begin_s, line.took_s or 0.0, "waiting")]
        for one in timed:
            assert one.started_at is not None
            assert one.latency_ms is not None
            at = line.begin_s + max(0.0, one.started_at - begun)
            bars.append((at, one.latency_ms / 1000, "bad" if one.status == "error" else "call"))
        return bars
    if line.took_s is None:
        return [] if axis.ended else [(line.begin_s, axis.whole_s - line.begin_s, "open")]
    return [(line.begin_s, line.took_s, "bad" if failed(line) else "call")]


def _bars(spans: Sequence[tuple[float, float, str]], axis: _Axis) -> Markup:
    drawn = []
    for begin, took, class_ in spans:
        left = min(_WIDE - 4, round(_WIDE * begin / axis.whole_s))
        width = max(4, min(_WIDE - left, round(_WIDE * max(0.0, took) / axis.whole_s)))
        drawn.append(el("rect", x=left, y=0, width=width, height=10, class_=class_))
    return el("svg", drawn, viewBox=f"0 0 {_WIDE} 10", preserveAspectRatio="none", class_="span", aria_hidden="true")


def _said_of(line: OutlineLine) -> tuple[bool, str]:
    """Say what was wrong with it, otherwise how what it gave begins."""
    item = line.item
    wrong = [f"{one.name}: {one.text or one.outcome}" for one in line.scores if one.outcome == "fail"]
    if isinstance(item, Step):
        wrong += [item.error or "error"] if item.status == "error" else []
        gave = item.output
    else:
        failures = [one for one in line.attempts if one.status == "error"]
        errors = [": ".join(filter(None, (one.error_kind, one.error))) or "error" for one in failures]
        if failed(line):
            wrong += errors
        elif errors:
            return False, one_line(f"answered after {plural(len(errors), 'failed attempt')}: {_gist(_text(line))}", 160)
        gave = _text(line)
    return bool(wrong), one_line(" · ".join(wrong) if wrong else _gist(gave), 160)


def _text(line: OutlineLine) -> str | None:
    return next((one.text for one in reversed(line.attempts) if one.text), None)


def _gist(value: object) -> str:
    if value is None:
        return ""
    return value[:400] if isinstance(value, str) else json_line(value)[:400]
