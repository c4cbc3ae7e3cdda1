"""A judge beside what users said: how often they agree. Voters do not represent all users, so a vote is never gold."""

from collections import Counter
from collections.abc import Mapping

from evalh.core.calibration import AgreementTable, Confusion
from evalh.core.digest import digest
from evalh.core.values import Value
from evalh.core.verdict import Outcome
from evalh.stats.agreement import agreement


class FeedbackAgreement(Value, kw_only=True):
    """A judge's verdicts on production's answers, and users' votes on the same workflows."""

    suite: str
    judge: str
    workflows: int  # of production, whether judged or not
    voted: int  # of these, with a vote
    torn: int  # with as many good votes as bad ones
    judged: int  # with a verdict of the judge, pass or fail
    both: int  # with both
    confusion: Confusion
    agreement: AgreementTable | None  # None: nothing has both


def beside_feedback(
    suite: str, judge: str, workflows: int, verdicts: Mapping[str, str], votes: Mapping[str, Counter[bool]]
) -> FeedbackAgreement:
    """Compare by workflow: a verdict's outcome, and the votes on it."""
    said = {name: count[True] > count[False] for name, count in votes.items() if count[True] != count[False]}
    passes = {
        name: outcome == Outcome.PASS for name, outcome in verdicts.items() if outcome in (Outcome.PASS, Outcome.FAIL)
    }
    pairs = [(passes[name], good) for name, good in said.items() if name in passes]
    counted = Counter(pairs)
    return FeedbackAgreement(
        suite=suite,
        judge=judge,
        workflows=workflows,
        voted=len(votes),
        torn=len(votes) - len(said),
        judged=len(passes),
        both=len(pairs),
        confusion=Confusion(
            both_good=counted[True, True],
            judge_only=counted[True, False],
            people_only=counted[False, True],
            both_bad=counted[False, False],
        ),
        agreement=agreement(pairs, seed=int(digest([suite, judge])[-8:], 16)) if pairs else None,
    )
