"""What a gate shows of single cases, and where a prompt begins to differ."""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

from evalh.analysis.pairing import CaseResult
from evalh.analysis.verdicts import MustPassCase
from evalh.api.changes import SuiteChange
from evalh.core.case import Case
from evalh.core.verdict import Outcome


def must_pass_case(case: Case, results: Mapping[str, CaseResult], trials: int) -> MustPassCase:
    """Say how a case that must pass went; what was not evaluated is ungraded."""
    found = results.get(case.id)
    if found is None:
        return MustPassCase(case.id, 0, trials, trials)
    return MustPassCase(case.id, found.goods, found.ungraded + trials - found.trials, trials)


def fails(case: CaseResult, graders: Sequence[str]) -> bool:
    """Tell whether any of these graders fails any of a case's samples."""
    return any(sample.outcomes.get(grader) is Outcome.FAIL for sample in case.samples for grader in graders)


def first_changed_line(change: SuiteChange) -> int:
    """Return the line of head's prompt file where the two versions begin to differ; 1 where they do not."""
    if change.base is None:
        return 1
    base = [line for section in change.base.version.sections for line in section.source.split("\n")]
    places = [
        (line, section.line + number)
        for section in change.head.version.sections
        for number, line in enumerate(section.source.split("\n"))
    ]
    matcher = SequenceMatcher(None, base, [line for line, _ in places], autojunk=False)
    for tag, _, _, low, _ in matcher.get_opcodes():
        if tag != "equal" and places:
            return places[min(low, len(places) - 1)][1]
    return 1
