"""A gate's decision as JUnit XML: a rule is a test; a failure is the output's, an error the infrastructure's."""

import re
from xml.sax.saxutils import escape, quoteattr

from evalh.analysis.verdicts import Evidence, Finding, GateDecision, SuiteDecision
from evalh.core.exits import ExitCode
from evalh.report.text import safe

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def gate_junit(decision: GateDecision) -> str:
    """Return the document: failure = a rule refuses, error = could not be measured, skipped = inconclusive."""
    suites = "".join(_suite(suite) for suite in decision.suites)
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="evalh gate"{_counts(decision.suites)}>'
    return f"{head}\n{suites}</testsuites>\n"


def _suite(suite: SuiteDecision) -> str:
    cases = "".join(_test(suite, finding) for finding in suite.findings)
    return f"<testsuite name={_attribute(suite.suite)}{_counts([suite])}>\n{cases}</testsuite>\n"


def _counts(suites: "list[SuiteDecision] | tuple[SuiteDecision, ...]") -> str:
    exits = [finding.exit for suite in suites for finding in suite.findings]
    failures, errors = exits.count(ExitCode.NO), exits.count(ExitCode.CANNOT_MEASURE)
    skipped = exits.count(ExitCode.INCONCLUSIVE)
    return f' tests="{len(exits)}" failures="{failures}" errors="{errors}" skipped="{skipped}"'


def _test(suite: SuiteDecision, finding: Finding) -> str:
    head = f"<testcase classname={_attribute(f'evalh.{suite.suite}')} name={_attribute(finding.rule)}"
    reason = _attribute(finding.reason)
    match finding.exit:
        case ExitCode.YES:
            return f"{head}/>\n"
        case ExitCode.NO:
            told = [_evidence(one) for one in suite.evidence if one.case_id in finding.cases]
            return f"{head}><failure message={reason}>{_content(chr(10).join(told))}</failure></testcase>\n"
        case ExitCode.INCONCLUSIVE:
            return f"{head}><skipped message={reason}/></testcase>\n"
        case _:
            return f"{head}><error message={reason}/></testcase>\n"


def _evidence(evidence: Evidence) -> str:
    reasons = "; ".join(f"{grader}: {reason}" for grader, reason in evidence.reasons)
    return f"{evidence.case_id}: {reasons}\n  base: {evidence.base_output}\n  head: {evidence.head_output}"


def _content(text: str) -> str:
    return escape(_NOT_XML.sub("", safe(text)))


def _attribute(text: str) -> str:
    return quoteattr(_NOT_XML.sub("", safe(text)))
