"""A gate's decision as JUnit XML: a rule is a test; a failure is the output's, an error the infrastructure's."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from evalh.core.exits import ExitCode
from evalh.report.gate import RELATIVE
from evalh.report.text import safe

Document = Mapping[str, Any]

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def gate_junit(document: Document) -> str:
    """Return a decision's document so: failure = a rule refuses, error = not to be measured, skipped = inconclusive."""
    tested = [*_whole(document), *document["suites"]]
    suites = "".join(_suite(suite) for suite in tested)
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="evalh gate"{_counts(tested)}>'
    return f"{head}\n{suites}</testsuites>\n"


def _whole(document: Document) -> Iterator[Document]:
    """Yield what is about no suite that was run, as a suite: a file without a test would read as a pass of nothing."""
    unchanged = [{"rule": f"{name} is unchanged", "exit": ExitCode.YES} for name in document["unchanged"]]
    found = [*document.get("findings", ()), *unchanged]
    if not found and not document["suites"]:
        found = [{"rule": "nothing changed", "exit": ExitCode.YES}]
    if found:
        yield {"suite": "the change", "findings": found}


def _suite(suite: Document) -> str:
    cases = "".join(_test(suite, finding) for finding in suite["findings"])
    head = f"<testsuite name={_attribute(suite['suite'])}{_counts([suite])}>"
    return f"{head}\n{relative_to(suite.get('judge_relative', ()))}{cases}</testsuite>\n"


def relative_to(why: Sequence[str]) -> str:
    """Return a test suite's properties that say why its verdict is relative to its judges."""
    told = "".join(f"<property name={_attribute(RELATIVE)} value={_attribute(one)}/>\n" for one in why)
    return f"<properties>\n{told}</properties>\n" if told else ""


def _counts(suites: Sequence[Document]) -> str:
    exits = [finding["exit"] for suite in suites for finding in suite["findings"]]
    failures, errors = exits.count(ExitCode.NO), exits.count(ExitCode.CANNOT_MEASURE)
    skipped = exits.count(ExitCode.INCONCLUSIVE)
    return f' tests="{len(exits)}" failures="{failures}" errors="{errors}" skipped="{skipped}"'


def _test(suite: Document, finding: Document) -> str:
    head = f"<testcase classname={_attribute('evalh.' + suite['suite'])} name={_attribute(finding['rule'])}"
    reason = _attribute(finding.get("reason", ""))
    match ExitCode(finding["exit"]):
        case ExitCode.YES:
            return f"{head}/>\n"
        case ExitCode.NO:
            told = [_evidence(one) for one in suite.get("evidence", ()) if one["case"] in finding["cases"]]
            return f"{head}><failure message={reason}>{_content(chr(10).join(told))}</failure></testcase>\n"
        case ExitCode.INCONCLUSIVE:
            return f"{head}><skipped message={reason}/></testcase>\n"
        case _:
            return f"{head}><error message={reason}/></testcase>\n"


def _evidence(evidence: Document) -> str:
    reasons = "; ".join(f"{grader}: {reason}" for grader, reason in evidence["reasons"])
    return f"{evidence['case']}: {reasons}\n  base: {evidence['base_output']}\n  head: {evidence['head_output']}"


def _content(text: str) -> str:
    return escape(_NOT_XML.sub("", safe(text)))


def _attribute(text: str) -> str:
    return quoteattr(_NOT_XML.sub("", safe(text)))
