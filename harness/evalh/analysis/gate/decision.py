"""What a gate decides: one value, from which the exit code, the terminal, JSON, Markdown and JUnit are all made."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from msgspec import field

from evalh.analysis.compare.comparison import Comparison
from evalh.analysis.drift import DriftResult
from evalh.analysis.prompt_diff import PromptDiff
from evalh.core.calibration import JudgeStanding, judge_relative
from evalh.core.errors import ExitCode, worst
from evalh.core.strict_json import JsonValue
from evalh.core.suite import Doubt
from evalh.core.values import Value


class GateStatus(StrEnum):
    """The three answers."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    INCONCLUSIVE = "inconclusive"


class Finding(Value):
    """What one rule found. `cases` are those that broke it."""

    rule: str  # good, grader NAME, must_pass, good_rate, never NAME, cost_per_good, latency_p95, dataset, ungraded
    exit: ExitCode
    reason: str
    cases: tuple[str, ...] = ()
    doubt: bool = False  # measured beyond a bound, though not shown to be: chance may explain it

    @property
    def status(self) -> GateStatus:
        """The answer that the exit code stands for."""
        return status_of(self.exit)


def doubtful(policy: Doubt, rule: str, reason: str, cases: tuple[str, ...] = ()) -> Finding:
    """Return the finding of a rule that is broken as measured, and may be so by chance, as the policy takes it."""
    code = {Doubt.ACCEPT: ExitCode.YES, Doubt.INCONCLUSIVE: ExitCode.INCONCLUSIVE, Doubt.REFUSE: ExitCode.NO}[policy]
    return Finding(rule, code, reason, cases, doubt=True)


class Evidence(Value, kw_only=True):
    """A case that got worse, to look at. Outputs are None if they were not kept, or nothing came."""

    case_id: str = field(name="case")
    inputs: Mapping[str, JsonValue] | None = None  # None: kept by an older version
    base_output: str | None
    head_output: str | None
    reasons: tuple[tuple[str, str], ...]  # (grader, reason) on head


class SuiteDecision(Value, kw_only=True):
    """One suite's part."""

    suite: str
    findings: tuple[Finding, ...]
    require: str
    parts: tuple[str, ...]  # of the fingerprint that differ
    base: str | None  # triage@v2; None: the suite is new
    head: str
    model: str
    margin: float
    detectable_drop: float | None  # None if unknown, or not even a drop from 1 to 0
    cases_needed: int | None
    stopped_at: int  # cases, without incidents
    of: int
    incidents: int = 0  # cases, which are asked for must_pass alone
    saved: int  # samples that did not have to be evaluated
    asked: int  # samples whose answer was neither in the log nor in a baseline
    comparison: Comparison | None
    canary: DriftResult | None = None  # whether base moved; None: it was not asked again
    evidence: tuple[Evidence, ...] = ()
    difference: PromptDiff | None = None  # between the two versions; None: there is none
    spent_usd: Decimal | None = None  # on everything that was asked, judges included; None if an answer has no price
    alpha: float = 0.05  # how often each limit of a difference may err
    prompt_path: str = ""
    prompt_line: int = 1
    notices: tuple[str, ...] = ()
    judges: tuple[JudgeStanding, ...] = ()  # models that grade, and whether they are calibrated
    recorded: bool = False  # a recording answered for head: there is no model to ask again

    @property
    def judge_relative(self) -> tuple[str, ...]:
        """Say why the decision is relative to its judges; empty if they are calibrated."""
        return judge_relative(self.judges)

    @property
    def exit(self) -> ExitCode:
        """The worst of the findings."""
        return worst(finding.exit for finding in self.findings)

    @property
    def status(self) -> GateStatus:
        """The answer for this suite."""
        return status_of(self.exit)

    @property
    def doubt(self) -> bool:
        """Whether it is accepted although something was measured beyond its bound."""
        return self.exit is ExitCode.YES and any(finding.doubt for finding in self.findings)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What decided: the findings of the worst kind; where it is accepted in doubt, the doubts."""
        decisive = [finding for finding in self.findings if finding.exit is self.exit]
        return tuple(finding.reason for finding in decisive if finding.doubt or not self.doubt)

    @property
    def broken(self) -> tuple[str, ...]:
        """The cases that got worse or broke a rule, each once."""
        regressed = self.comparison.regressed if self.comparison is not None else ()
        named = (case for finding in self.findings if finding.exit is not ExitCode.YES for case in finding.cases)
        return tuple(dict.fromkeys((*named, *regressed)))


class Series(Value, kw_only=True):
    """The looks at one pull request, this one included."""

    heads: tuple[str, ...]  # digests of what was judged, in order
    look: int  # which of them this is, from 1
    alpha: float  # the error rate that is left for this look


class GateDecision(Value, kw_only=True):
    """The whole answer."""

    suites: tuple[SuiteDecision, ...]
    base: str  # as the user named it
    head: str
    merge_base: str | None = None  # None: two versions were compared, not two commits
    unchanged: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()  # about no suite that was run: what went away, what was not measured
    notices: tuple[str, ...] = ()
    series: Series | None = None  # None: this look stands alone
    id: str | None = None  # in the log; None: nothing changed, and nothing was kept

    @property
    def exit(self) -> ExitCode:
        """The worst suite's and finding's; 0 where nothing changed."""
        return worst([*(suite.exit for suite in self.suites), *(finding.exit for finding in self.findings)])

    @property
    def judge_relative(self) -> bool:
        """Whether a suite that decided rests on a judge for whom people's labels do not speak."""
        return any(suite.judge_relative for suite in self.suites if suite.exit is self.exit)

    @property
    def status(self) -> GateStatus:
        """The answer."""
        return status_of(self.exit)

    @property
    def doubt(self) -> bool:
        """Whether it is accepted although something was measured beyond its bound."""
        return self.exit is ExitCode.YES and any(suite.doubt for suite in self.suites)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What decided, suite by suite."""
        if not self.suites and not self.findings:
            return ("nothing that changed can change an answer: no suite ran",)
        several = len(self.suites) > 1
        found = tuple(finding.reason for finding in self.findings if finding.exit is self.exit)
        return found + tuple(
            f"{suite.suite}: {reason}" if several else reason
            for suite in self.suites
            if suite.exit is self.exit
            for reason in suite.reasons
        )


def status_of(code: ExitCode) -> GateStatus:
    """Return the answer that an exit code stands for."""
    match code:
        case ExitCode.YES:
            return GateStatus.ACCEPT
        case ExitCode.NO:
            return GateStatus.REFUSE
        case _:
            return GateStatus.INCONCLUSIVE


class MustPassCase(Value):
    """How a case that must pass went."""

    case_id: str
    good: int
    ungraded: int
    trials: int


def points(share: float) -> str:
    """Write a difference of rates: `8 points`."""
    return f"{100 * share:.3g} points"
