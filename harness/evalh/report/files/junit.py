"""JUnit XML for a build's test view: a sample of a run, a case of a comparison, or a rule of a gate is a test.

A failure is the output's, an error the infrastructure's.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from evalh.analysis.failures import why
from evalh.analysis.gate.decision import Evidence, GateStatus
from evalh.core.errors import ExitCode
from evalh.core.log import RunRow, SampleStory
from evalh.core.sample import Standing
from evalh.core.values import Value
from evalh.report.documents.document import document_of
from evalh.report.documents.gate import FindingDocument, GateDocument
from evalh.report.terminal.compare import ComparisonView, labels
from evalh.report.terminal.gate import RELATIVE, differing_line, inputs_text
from evalh.report.text import inert, safe
from evalh.report.words import OnBothSides, sides_differ

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OUTPUT = 4000


def xml(text: str) -> str:
    """Make a text one that XML can hold; it is to be escaped yet."""
    return _NOT_XML.sub("\ufffd", inert(text))


def attribute(text: str) -> str:
    """Quote a text for an XML attribute, cut where nobody reads on."""
    return quoteattr(xml(text)[:1000])


def run_junit(run: RunRow, stories: Iterable[SampleStory]) -> Iterator[str]:
    """Yield JUnit XML: a sample is a test; failure = bad, error = ungraded."""
    summary = run.summary
    counts = (0, 0, 0)
    if summary is not None:  # incidents too: a test is a sample, and no rate
        apart = summary.apart
        counts = (summary.evaluated, summary.bad + apart.bad, summary.ungraded + apart.ungraded)
    told = f'tests="{counts[0]}" failures="{counts[1]}" errors="{counts[2]}"'
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="evalh" {told}>\n'
    yield f"<testsuite name={attribute(run.record.suite)} {told}>\n"
    for story in stories:
        yield _sample_xml(run, story)
    yield "</testsuite>\n</testsuites>\n"


def _sample_xml(run: RunRow, story: SampleStory) -> str:
    sample = story.sample
    trial = f" trial {sample.trial}" if sample.trial else ""
    seconds = "" if sample.latency.total_ms is None else f' time="{sample.latency.total_ms / 1000:.3f}"'
    name = attribute(f"{sample.case_id}{trial}")
    head = f"<testcase classname={attribute(f'{run.record.prompt} on {run.record.model}')} name={name}{seconds}"
    if sample.standing is Standing.GOOD:
        return f"{head}/>\n"
    kind = "failure" if sample.standing is Standing.BAD else "error"
    output = escape(xml(story.output or "")[:_OUTPUT])
    return f"{head}><{kind} message={attribute(why(story))}>{output}</{kind}></testcase>\n"


def comparison_junit(view: ComparisonView, both: Iterable[OnBothSides]) -> Iterator[str]:
    """Yield JUnit XML: a sample is a test; failure = good on base and bad on head, error = ungraded on head."""
    tests, failures, errors = [], 0, 0
    suite, (base, head) = view.comparison.head.suite, labels(view.comparison)
    for one in both:
        kind = _kind(one)
        failures, errors = failures + (kind == "failure"), errors + (kind == "error")
        tests.append(_both_xml(one, kind, f"{base} to {head}"))
    told = f'tests="{len(tests)}" failures="{failures}" errors="{errors}"'
    properties = _properties(sides_differ(view.comparison), view.comparison.judge_relative)
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="evalh compare" {told}>\n'
    yield f"<testsuite name={attribute(suite)} {told}>\n{properties}"
    yield from tests
    yield "</testsuite>\n</testsuites>\n"


def _kind(one: OnBothSides) -> str | None:
    if one.head is None or one.head.sample.standing is Standing.UNGRADED:
        return "error"
    worse = one.change == "regressed" or (one.base is not None and one.base.sample.standing is Standing.GOOD)
    return "failure" if worse and one.head.sample.standing is Standing.BAD else None


def _both_xml(one: OnBothSides, kind: str | None, sides: str) -> str:
    trial = f" trial {one.trial}" if one.trial else ""
    head = f"<testcase classname={attribute(sides)} name={attribute(f'{one.case_id}{trial}')}"
    if kind is None:
        return f"{head}/>\n"
    told = "was not evaluated on head" if one.head is None else why(one.head)
    outputs = "\n".join(_side(name, story) for name, story in (("base", one.base), ("head", one.head)))
    return f"{head}><{kind} message={attribute(told)}>{escape(xml(outputs))}</{kind}></testcase>\n"


def _side(name: str, story: SampleStory | None) -> str:
    return f"{name}: {'' if story is None else story.output or ''}"[:_OUTPUT]


class _TestSuite(Value, kw_only=True):
    """A suite of JUnit: rules of a suite of ours, or what is about the whole change."""

    name: str
    findings: Sequence[FindingDocument]
    judge_relative: Sequence[str] = ()
    differing: str | None = None
    evidence: Sequence[Evidence] = ()
    exit: ExitCode = ExitCode.YES


def gate_junit(gate: GateDocument) -> str:
    """Return a decision as JUnit: failure = a rule refuses, error = could not be measured, skipped = inconclusive."""
    tested = [
        *_whole(gate),
        *(document_of(_TestSuite, one, name=one.suite, differing=differing_line(one)) for one in gate.suites),
    ]
    suites = "".join(_suite_xml(suite) for suite in tested)
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="evalh gate"{_told(tested)}>'
    return f"{head}\n{suites}</testsuites>\n"


def _whole(gate: GateDocument) -> Iterator[_TestSuite]:
    """Yield what is about no suite that was run, as a suite: a file without a test would read as a pass of nothing."""
    names = [f"{name} is unchanged" for name in gate.unchanged]
    if not (names or gate.findings or gate.suites):
        names = ["nothing changed"]
    passed = (
        FindingDocument(rule=name, status=GateStatus.ACCEPT, exit=ExitCode.YES, reason="", cases=()) for name in names
    )
    if findings := [*gate.findings, *passed]:
        yield _TestSuite(name="the change", findings=findings)


def _suite_xml(suite: _TestSuite) -> str:
    cases = "".join(
        (*(_finding_xml(suite, one) for one in suite.findings), *(_worse_xml(suite, one) for one in suite.evidence))
    )
    head = f"<testsuite name={_uncut(suite.name)}{_told([suite])}>"
    return f"{head}\n{_properties(suite.differing, suite.judge_relative)}{cases}</testsuite>\n"


def _properties(differing: str | None, relative: Sequence[str]) -> str:
    """Return a test suite's properties: in what its sides differ, and why its verdict is relative to its judges."""
    told = [*([] if differing is None else [("sides", differing)]), *((RELATIVE, text) for text in relative)]
    properties = "".join(f"<property name={_uncut(name)} value={_uncut(text)}/>\n" for name, text in told)
    return f"<properties>\n{properties}</properties>\n" if properties else ""


def _told(suites: Sequence[_TestSuite]) -> str:
    exits = [finding.exit for suite in suites for finding in suite.findings]
    exits += [_exit_of_case(suite) for suite in suites for _ in suite.evidence]
    failures, errors = exits.count(ExitCode.NO), exits.count(ExitCode.CANNOT_MEASURE)
    skipped = exits.count(ExitCode.INCONCLUSIVE)
    return f' tests="{len(exits)}" failures="{failures}" errors="{errors}" skipped="{skipped}"'


def _finding_xml(suite: _TestSuite, finding: FindingDocument) -> str:
    head = f"<testcase classname={_uncut('evalh.' + suite.name)} name={_uncut(finding.rule)}"
    reason = _uncut(finding.reason)
    match finding.exit:
        case ExitCode.YES:
            doubt = "accepted in doubt: " if finding.doubt else ""
            told = escape(xml(safe(f"{doubt}{finding.reason}")))
            return f"{head}><system-out>{told}</system-out></testcase>\n" if told else f"{head}/>\n"
        case ExitCode.NO:
            texts = "\n".join(_evidence_text(case) for case in suite.evidence if case.case_id in finding.cases)
            return f"{head}><failure message={reason}>{escape(xml(texts))}</failure></testcase>\n"
        case ExitCode.INCONCLUSIVE:
            return f"{head}><skipped message={reason}/></testcase>\n"
        case _:
            return f"{head}><error message={reason}/></testcase>\n"


def _exit_of_case(suite: _TestSuite) -> ExitCode:
    """Return failure where the suite refuses; where chance may explain that a case got worse, its test is skipped."""
    return ExitCode.NO if suite.exit is ExitCode.NO else ExitCode.INCONCLUSIVE


def _worse_xml(suite: _TestSuite, case: Evidence) -> str:
    head = f"<testcase classname={_uncut(f'evalh.{suite.name}.worse')} name={_uncut(case.case_id)}"
    why = "; ".join(f"{grader}: {reason}" for grader, reason in case.reasons)
    if _exit_of_case(suite) is ExitCode.NO:
        return f"{head}><failure message={_uncut(why)}>{escape(xml(_evidence_text(case)))}</failure></testcase>\n"
    told = f"got worse, which chance may explain: {why}"
    return f"{head}><skipped message={_uncut(told)}/></testcase>\n"


def _evidence_text(case: Evidence) -> str:
    reasons = "; ".join(f"{grader}: {reason}" for grader, reason in case.reasons)
    given = "" if case.inputs is None else f"\n  input: {inputs_text(case.inputs)}"
    return f"{case.case_id}: {reasons}{given}\n  base: {case.base_output}\n  head: {case.head_output}"


def _uncut(text: str) -> str:
    return quoteattr(xml(safe(text)))
