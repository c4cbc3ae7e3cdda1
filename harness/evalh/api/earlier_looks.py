"""The gates that one pull request has had: its comment carries which heads were judged.

Ten pushes are ten looks at one question. The error rate of 5 % is spent over all of them: look j takes 1 / (j (j + 1))
of it, which adds up to all of it however many there are. A head that was judged before is not a new look while the log
still has its answers; where they are drawn again it is.
"""

import re
from collections.abc import Iterable
from itertools import count, islice
from pathlib import Path

from evalh.analysis.questions import ALPHA
from evalh.analysis.verdicts import Series
from evalh.api.changes import SuiteChange
from evalh.core.attempt import CallKey
from evalh.core.digest import JsonValue, digest
from evalh.core.errors import UsageError
from evalh.core.ports import Store
from evalh.core.values import Value
from evalh.engine.plan import Plan
from evalh.report.gate_markdown import MARKER

_HEADS_BEGIN = "<!-- evalh heads:"
_HEADS = re.compile(_HEADS_BEGIN + r"((?: [0-9a-f]{12}){1,500}) -->")
_CASES_AT_ONCE = 500
_MOST_BYTES = 1_000_000  # of a comment: GitHub takes 65,536 characters


class EarlierLooks(Value):
    """What an earlier comment says; no heads: there was none."""

    heads: tuple[str, ...] = ()

    def series(self, touched: Iterable[SuiteChange], *, again: bool = False) -> Series:
        """Return these looks and the one at what a change brings now; `again`: its answers are drawn again."""
        suites = sorted((one.suite, one.head.fingerprint().document()) for one in touched)
        judged: list[JsonValue] = [list(one) for one in suites]
        draws = (digest([*judged, draw] if draw else judged).removeprefix("sha256:")[:12] for draw in count())
        head = next(draws)
        while head in self.heads:
            following = next(draws)
            if following not in self.heads and not again:
                break  # the latest draw is the one that the log answers with
            head = following
        heads = self.heads if head in self.heads else (*self.heads, head)
        look = heads.index(head) + 1
        return Series(heads=heads, look=look, alpha=ALPHA / (look * (look + 1)))


def drawn_again(store: Store, touched: Iterable[SuiteChange], *, fresh: bool) -> bool:
    """Whether a head that was judged before gets other answers now: a second draw, to be luckier with.

    A log that holds some of its answers goes on where an earlier gate stopped.
    """
    return any(fresh or not _in_log(store, one.head) for one in touched if _varies(one.head))


def _varies(plan: Plan) -> bool:
    leaves = plan.target.leaves.values()
    return any(leaf.provider.kind != "replay" and leaf.settings.params.get("temperature") != 0 for leaf in leaves)


def _in_log(store: Store, plan: Plan) -> bool:
    cases = iter(plan.cases)
    while ahead := list(islice(cases, _CASES_AT_ONCE)):
        wanted = [(plan.step.request(case).digest(), CallKey(case.id, 0, plan.step.name, plan.draw)) for case in ahead]
        if any(store.find_all(wanted, routed=plan.target.chooses)):
            return True
    return False


def read_earlier(path: Path) -> EarlierLooks:
    """Read the comment that an earlier gate left; a file that is empty or not there is a first look.

    Raises UsageError for a file that cannot be read, and for one that is not such a comment.
    """
    try:
        with path.open("rb") as file:
            lines = file.read(_MOST_BYTES).decode("utf-8-sig", errors="replace").strip().splitlines()
    except FileNotFoundError:
        return EarlierLooks()
    except OSError as exc:
        raise UsageError(f"--earlier cannot be read: {exc.strerror}", where=str(path)) from exc
    if not lines:
        return EarlierLooks()
    if lines[0].strip() != MARKER:
        what = f"--earlier is not a comment that evalh gate left: that begins with {MARKER}"
        hint = "name the file that `evalh gate --comment` wrote; for a first look, one that is empty or not there"
        raise UsageError(what, where=f"{path}:1", hint=hint)
    if len(lines) == 1 or not lines[1].startswith(_HEADS_BEGIN):
        return EarlierLooks()  # nothing was judged yet
    found = _HEADS.fullmatch(lines[1].strip())
    if found is None:
        hint = "somebody has edited the comment: write that line as it was, or delete the comment to begin again"
        raise UsageError("the heads that were judged cannot be read", where=f"{path}:2", hint=hint)
    return EarlierLooks(tuple(dict.fromkeys(found[1].split())))
