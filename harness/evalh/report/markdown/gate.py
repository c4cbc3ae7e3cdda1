"""A gate's decision as Markdown: a job's summary, and the one comment on a pull request.

Case ids, reasons and outputs are strangers' text: they stay text, call nobody, and link nowhere.
"""

import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from evalh.analysis.gate.decision import Evidence, GateStatus
from evalh.core.errors import ExitCode
from evalh.core.run import Estimate
from evalh.report.documents.compare import ComparisonDocument
from evalh.report.documents.gate import FindingDocument, GateDocument, SuiteDocument
from evalh.report.documents.prompts import difference_of
from evalh.report.markdown.prompt_diff import diff_markdown
from evalh.report.markdown.run import code
from evalh.report.terminal.compare import points
from evalh.report.terminal.gate import (
    RELATIVE,
    asides,
    asked_line,
    certainty,
    decision_word,
    differing_line,
    inputs_text,
    look_line,
    may_confirm,
    named_sides,
    next_commands,
)
from evalh.report.text import inert, milliseconds, one_line, percent, plural, safe, short_cost_per_good, typable

MARKER = "<!-- evalh gate -->"
"""The comment's first line: by it the next run finds the comment and writes over it."""

COMMENT_BYTES = 64_000  # GitHub takes 65,536 characters
SUMMARY_BYTES = 1_000_000  # GitHub takes 1 MiB

DATASET_LABEL = "evalh-allow-dataset-change"
"""The label of a pull request that allows changed rows: the workflows of `evalh ci init` read it."""

_SIGNS = {GateStatus.ACCEPT: "✅", GateStatus.REFUSE: "❌", GateStatus.INCONCLUSIVE: "❔"}
_SPECIAL = str.maketrans({one: f"\\{one}" for one in r"\`*_[]|~"})
_AT_THE_START = ("#", "+", "-", "=")  # of a line they make a heading, a list or a rule
_MOST_OUTPUT = 2000
_MOST_HEADS = 500
_MOST_CASES = 5
_HEADING = 160
_LEFT_OUT = "\n\n… more is in the log: `evalh show`, and in `evalh gate --json`.\n"


def gate_markdown(gate: GateDocument, limit_bytes: int, earlier: Sequence[str] = ()) -> str:
    """Return a decision as Markdown of at most so many bytes; what is cut are the examples at the end.

    `earlier`: the heads that were judged before, which a gate that judged nothing hands on.
    """
    heads = gate.series.heads if gate.series is not None else earlier
    text = MARKER + (f"\n<!-- evalh heads: {' '.join(heads[-_MOST_HEADS:])} -->" if heads else "")
    for block in _blocks(gate):
        if len((text + block + _LEFT_OUT).encode()) > limit_bytes:
            return text + _LEFT_OUT
        text += block
    return text


def _blocks(gate: GateDocument) -> Iterator[str]:
    relative = f" ({RELATIVE})" if gate.judge_relative else ""
    decision = decision_word(gate.exit, doubt=gate.doubt)
    yield f"\n## {_sign(gate)} evalh gate: {decision}{relative}{_headline(gate)}\n\n"
    yield f"{_text(gate.base)} → {_text(gate.head)}\n"
    yield from _differing(gate)
    if gate.series is not None:
        yield f"\n_{_text(look_line(gate.series))}_\n\n"
    for reason in gate.reasons:
        yield f"- {_text(_short(reason))}\n"
    for finding in gate.findings:
        if not {*finding.reason.splitlines()} <= {*gate.reasons}:
            yield f"- {_sign(finding)} {_text(_short(finding.reason))}\n"
    for notice in gate.notices:
        yield f"\n_{_text(_short(notice))}_\n"
    for suite in gate.suites:
        yield from _suite(suite, gate.base)
    if gate.unchanged:
        yield f"\nUnchanged: {_text(_short(', '.join(gate.unchanged)))}\n"
    for suite in gate.suites:
        yield from _worse(suite)
    yield from _next(gate)


def _differing(gate: GateDocument) -> Iterator[str]:
    """Say in what the sides differ: once where all suites say the same."""
    told = {suite.suite: line for suite in gate.suites if (line := differing_line(suite)) is not None}
    if len({*told.values()}) == 1:
        yield f"\n{_text(next(iter(told.values())))}\n\n"
        return
    for name, line in told.items():
        yield f"\n{_text(f'{name}: {line}')}\n\n"


def _headline(gate: GateDocument) -> str:
    """Tell the story of the first suite that decided: both sides, and the difference."""
    told = (one for one in gate.suites if one.exit == gate.exit and one.comparison is not None and one.comparison.n)
    suite = next(told, None)
    if suite is None or suite.comparison is None:
        return ""
    difference = points(suite.comparison.difference)
    return f" · {_text(named_sides(suite, gate.base))} · good {_text(difference)}"


def _suite(suite: SuiteDocument, base: str) -> Iterator[str]:
    told = named_sides(suite, base).removeprefix(f"{suite.suite} ")
    yield f"\n### {_sign(suite)} {_text(suite.suite)} · {_text(told)} · {_text(suite.model)}\n\n"
    yield f"{_text(asked_line(suite))}\n"
    if (compared := suite.comparison) is not None and compared.n:
        yield _numbers(suite, compared)
    for aside in asides(suite):
        yield f"{_text(aside)}  \n"
    yield "\n| | rule | found |\n|---|---|---|\n"
    for finding in suite.findings:
        yield f"| {_sign(finding)} | {_text(finding.rule)} | {_text(_short(finding.reason))} |\n"
    for why in suite.judge_relative:
        yield f"\n⚖️ {RELATIVE}: {_text(_short(why))}\n"
    for notice in suite.notices:
        yield f"\n_{_text(_short(notice))}_\n"
    if suite.difference is not None:
        yield diff_markdown(difference_of(suite.difference))


def _numbers(suite: SuiteDocument, compared: ComparisonDocument) -> str:
    """Return the table of both sides; what is unknown on both has no row."""
    base, head = compared.sides.base, compared.sides.head
    sure = certainty(compared.difference, suite.alpha).removeprefix(", ")
    cases = f"{compared.losses:,} worse, {compared.wins:,} better, {compared.ties:,} alike"
    rows = [("good", *(percent(one.good_rate.value) for one in (base, head)), points(compared.difference))]
    if head.cost_per_good_usd.value is not None:
        costs = (short_cost_per_good(one.cost_per_good_usd) for one in (base, head))
        rows.append(("cost per good output", *costs, _times(compared.cost_per_good_ratio)))
    if compared.latency.difference_ms.value is not None:
        times = (f"median {milliseconds(one.latency_ms.latency_p50_ms)}" for one in (base, head))
        rows.append(("latency", *times, _longer(compared.latency.difference_ms)))
    lines = "".join(f"| {' | '.join(map(_text, row))} |\n" for row in rows)
    limits = f"Limits of the difference: {_text(sure)}. " if sure else ""
    return f"\n| | base | head | difference |\n|---|--:|--:|--:|\n{lines}\n{limits}Cases: {cases}.\n\n"


def _times(ratio: Estimate) -> str:
    if ratio.value is None:
        return ""
    between = "" if ratio.low is None or ratio.high is None else f"  [{ratio.low:.2f}, {ratio.high:.2f}]"
    return f"× {ratio.value:.2f}{between}"


def _longer(difference: Estimate) -> str:
    if difference.value is None:
        return ""
    low, high = difference.low, difference.high
    between = "" if low is None or high is None else f"  [{round(low):+}, {round(high):+}]"
    return f"mean {round(difference.value):+} ms{between}"


def _worse(suite: SuiteDocument) -> Iterator[str]:
    """Show the worst of the cases that got worse, folded."""
    if suite.evidence:
        count = max(len(suite.evidence), suite.comparison.losses if suite.comparison is not None else 0)
        shown = min(len(suite.evidence), _MOST_CASES)
        which = "" if shown == count else f", the worst {shown}"
        yield f"\n#### {_text(suite.suite)}: {plural(count, 'case')} got worse{which}\n"
    for evidence in suite.evidence[:_MOST_CASES]:
        yield _evidence(suite, evidence)


def _next(gate: GateDocument) -> Iterator[str]:
    """Say what to do now. The commands run in a checkout of the branch."""
    steps = [*_steps(gate)]
    if steps:
        yield "\n**Next**\n\n" + "".join(f"- {step}\n" for step in steps)


def _steps(gate: GateDocument) -> Iterator[str]:
    decisive = [one for one in gate.suites if one.exit == gate.exit]
    names = [typable(one) for one in (*(suite.suite for suite in decisive), gate.base)]
    if may_confirm(gate) and all(names):
        *suites, base = map(str, names)
        again = code(f"evalh gate {' '.join(suites)} --base {base} --confirm", 500)
        yield f"{again} asks the cases that got worse again: is it shown again, or was it chance?"
    if any(one.rule == "dataset" and one.exit is ExitCode.NO for suite in gate.suites for one in suite.findings):
        yield f"If the rows were changed on purpose, give the pull request the label {code(DATASET_LABEL)}."
    for command, what in next_commands(gate):
        yield f"{code(command, 500)}: {what}."
    if gate.gate:
        yield f"{code(f'evalh report {gate.gate}')} makes a page of it, where the log of this job is."


def _sign(decided: GateDocument | SuiteDocument | FindingDocument) -> str:
    return "⚠️" if decided.doubt or decided.exit is ExitCode.CANNOT_MEASURE else _SIGNS[decided.status]


def _evidence(suite: SuiteDocument, evidence: Evidence) -> str:
    case = evidence.case_id
    why = f": {_in_html(one_line(evidence.reasons[0][1], _HEADING))}" if evidence.reasons else ""
    head = f"<b>{_in_html(_short(case))}</b>{why}{_label(suite, case)}"
    reasons = "".join(f"- {_text(grader)}: {_text(_short(reason))}\n" for grader, reason in evidence.reasons)
    given = "" if evidence.inputs is None else f"input\n{_fenced(inputs_text(evidence.inputs))}\n"
    base, now = _fenced(evidence.base_output), _fenced(evidence.head_output)
    return f"\n<details><summary>{head}</summary>\n\n{given}base\n{base}\nhead\n{now}\n{reasons}\n</details>\n"


def _label(suite: SuiteDocument, case_id: str) -> str:
    for case in suite.comparison.confirmed if suite.comparison is not None else ():
        if case.case_id == case_id:
            base, head = (f"{side.good} of {side.trials}" for side in (case.base, case.head))
            return f"; asked again it is {case.label}: {base} good on base, {head} on head"
    return ""


def _fenced(output: str | None) -> str:
    if output is None:
        return "\n_no output was kept_\n"
    text = inert(output[: _MOST_OUTPUT + 1])
    text = text if len(text) <= _MOST_OUTPUT else text[:_MOST_OUTPUT] + "…"
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"\n{fence}text\n{text}\n{fence}\n"


def _short(text: str) -> str:
    return text if len(text) <= _MOST_OUTPUT else text[:_MOST_OUTPUT] + "…"


def _text(text: str) -> str:
    """Make text inert in GitHub's and GitLab's Markdown: no markup, no HTML, no mention, no link."""
    flat = _flat(text).translate(_SPECIAL)
    return _unlinked(f"\\{flat}" if flat.startswith(_AT_THE_START) else flat)


def _in_html(text: str) -> str:
    """Make text inert inside a tag, where Markdown ends: a backslash would be shown there."""
    return _unlinked(_flat(text))


def _flat(text: str) -> str:
    return escape(" ".join(safe(text).split()))


def _unlinked(text: str) -> str:
    """Put a joiner of no width where a mention, a number or an address would become a link."""
    for one in ("@", "#", "://", "]"):
        text = text.replace(one, f"{one}\u200b")
    return re.sub(r"\bwww(?=\.)", "www\u200b", text)
