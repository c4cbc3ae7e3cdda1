"""What the page says in words: the verdict, and what to look at.

What follows outputs, in words: with what a bad output costs, which version is worth its price.
"""

from collections.abc import Mapping, Sequence
from shlex import quote
from urllib.parse import urlencode

from msgspec import field

from evalh.analysis.compare.comparison import Comparison
from evalh.analysis.confusion import LabelConfusion
from evalh.analysis.failures import Failings, Reason
from evalh.analysis.history import History
from evalh.analysis.tradeoff import TradeOff
from evalh.analysis.traffic import Traffic
from evalh.core.calibration import JudgeStanding, UnusedLabels
from evalh.core.case import INCIDENT
from evalh.core.log import RunRow, SampleStory
from evalh.core.run import Downstream, DownstreamComparison, Fingerprint, RunStatus, RunSummary
from evalh.core.values import Value
from evalh.report.documents.compare import ComparisonDocument, DownstreamDocument
from evalh.report.text import cost_per_good, dollars, incidents, one_line, percent, plural, rate

_RARE = 0.02
_PARTS = {"dataset": "dataset rows"}  # of the fingerprint, where one word is not enough


class RunReport(Value, kw_only=True):
    """What every report of a run tells: what the log holds of it, and what it can be compared with."""

    run: RunRow
    failings: Failings
    chosen: TradeOff
    past: History
    prices: Mapping[str, str] = field(default_factory=dict)  # where prices come from now
    judges: Sequence[JudgeStanding] = ()  # whether they are calibrated now
    missed: Sequence[SampleStory] = ()  # samples that are not good, for reports in text
    traffic: Traffic | None = None  # of a pipeline, for the page
    confusion: LabelConfusion | None = None  # of a suite whose gold is a label


class OnBothSides(Value, kw_only=True):
    """One case and trial as a comparison saw it; a side is None if it was not evaluated there."""

    case_id: str
    trial: int
    change: str  # regressed, fixed, unstable; empty: none
    base: SampleStory | None
    head: SampleStory | None


class Pointer(Value):
    """Something to look at: words, and the filter that shows the samples; None: nothing to filter."""

    words: str
    anchor: str | None = None
    quotes: bool = False  # it holds what a model, a row or a server said


def sides_differ(compared: Comparison | ComparisonDocument | None, more: Sequence[str] = ()) -> str:
    """Name every part of the fingerprint in which two sides differ, in one line.

    `more` are parts that differ between the branches of a gate and not in what it compared: both sides are scored on
    head's rows by head's graders.
    """
    known: dict[str, tuple[str, ...]] = dict.fromkeys(more, ())
    if compared is not None:
        sides = compared.sides if isinstance(compared, ComparisonDocument) else compared
        base, head = (side.fingerprint.document() for side in (sides.base, sides.head))
        known |= {part: () for part in base if base[part] != head[part]}  # all that an older log can name
        known |= {one.part: one.details for one in compared.differing}
    if not known:
        return "sides are the same in prompt, dataset rows, graders, model and route"
    told = [_part_words(part, known) for part in Fingerprint.__struct_fields__ if part in known]
    return f"sides differ in: {', '.join(filter(None, told))}"


def _part_words(part: str, known: Mapping[str, tuple[str, ...]]) -> str:
    if part == "route" and "model" in known:
        return ""  # another model is another route: one word for both
    name = "model or route" if part == "model" and "route" in known else _PARTS.get(part, part)
    details = one_line("; ".join(known[part]), 200)
    return f"{name} ({details})" if details else name


def verdict(run: RunRow) -> str:
    """Say in one sentence how a run came out."""
    record, summary = run.record, run.summary
    who = f"{record.prompt} on {record.model}"
    if summary is None:
        return f"{who} is {run.status.value}: it has no numbers yet. What was evaluated is below."
    if not summary.evaluated:
        return f"{who} has no finished sample: there is nothing to judge."
    more = f" Incidents: {incidents(summary.apart)}." if summary.apart.samples else ""
    if not summary.samples:
        return f"{who} has samples of incidents alone: there is no good rate.{more}"
    if summary.ungraded == summary.samples:
        return f"{who} could not be judged: all {summary.samples} samples are ungraded.{more}"
    sentence = f"{who} is good on {summary.good:,} of {summary.samples:,} samples: {rate(summary.good_rate)}"
    if run.status is RunStatus.COMPLETE:
        return f"{sentence}.{more}"
    return f"{sentence} so far: it is {run.status.value} at {summary.evaluated:,} of {record.planned:,}.{more}"


def pointers(run: RunRow, failings: Failings, traffic: Traffic | None = None) -> list[Pointer]:
    """Return what deserves a look, the gravest first."""
    summary = run.summary
    if summary is None or not summary.evaluated:
        return [Pointer("The same evalh run continues where this one stopped.")]
    found = [
        *_trouble(run, summary),
        *_incidents(summary),
        *_origin(traffic),
        *_reasons(failings),
        *_tag(failings),
        *_money(summary),
    ]
    if not found and summary.samples and summary.good == summary.samples:
        found.append(Pointer("Nothing failed. Are the cases hard enough to tell two versions apart?"))
    return found[:6]


def _trouble(run: RunRow, summary: RunSummary) -> list[Pointer]:
    found = []
    if run.reason:
        found.append(Pointer(f"The run ended early: {one_line(run.reason, 200)}", quotes=True))
    if summary.ungraded:
        weight = ", more than the suite allows" if run.record.unmeasured(summary) else ""
        kinds = ", ".join(f"{count} × {kind}" for kind, count in summary.errors.items())
        found.append(
            Pointer(
                f"{summary.ungraded:,} ungraded{weight}; they count as not good{': ' if kinds else ''}{kinds}",
                anchor(standing="ungraded"),
            )
        )
    return found


def _incidents(summary: RunSummary) -> list[Pointer]:
    missed = summary.apart.samples - summary.apart.good
    if not missed:
        return []
    words = f"{missed:,} of {plural(summary.apart.samples, 'sample')} of incidents not good: promises that are broken"
    return [Pointer(words, anchor(tag=INCIDENT, standing="missed"))]


def _origin(traffic: Traffic | None) -> list[Pointer]:
    """Name the step where most samples of a pipeline went wrong first."""
    found = [] if traffic is None else traffic.first_bad.most_common(1)
    return [
        Pointer(f"{step}: {plural(count, 'sample')} went wrong here first", anchor(at=f"{step}.first"))
        for step, count in found
    ]


def _reasons(failings: Failings) -> list[Pointer]:
    return [
        Pointer(_told(reason), reason_anchor(reason), quotes=True)
        for reason in failings.reasons()[:3]
        if reason.count > 1
    ]


def _told(reason: Reason) -> str:
    who = f"{reason.grader}: " if reason.grader else ""
    return f"{reason.count:,} × {who}{one_line(reason.text, 110)}"


def reason_anchor(reason: Reason) -> str:
    """Return the filter that shows the samples with this reason."""
    return anchor(
        grader=reason.grader, q=one_line(reason.text, 60).rstrip("…") if reason.exact else "", standing="missed"
    )


def _tag(failings: Failings) -> list[Pointer]:
    worst = failings.heat().worst()
    if worst is None:
        return []
    grader, tag, missed, total = worst
    whole = failings.missed[grader, ""] / failings.samples
    shares = f"{percent(missed / total)}; overall {percent(whole)}"
    words = f"Tagged {tag}: {grader} does not pass on {missed:,} of {total:,} ({shares})"
    return [Pointer(words, anchor(grader=grader, tag=tag), quotes=True)]


def _money(summary: RunSummary) -> list[Pointer]:
    if summary.cost_per_good_usd.method == "unpriced":
        return [Pointer("The model is not priced, so no cost is known: state its price, or price_as, in evalh.toml")]
    retried = summary.attempts - (summary.calls - summary.cache_hits)
    if summary.pipeline is None and retried > _RARE * summary.calls:  # a pipeline's sample makes several calls anyway
        words = f"{retried:,} attempts more than calls: retries, repairs, fallbacks, escalations"
        return [Pointer(words, anchor(sort="attempts"))]
    return []


def anchor(**filters: str) -> str:
    """Return the link that sets the page's filters."""
    return f"#{urlencode({name: value for name, value in filters.items() if value})}"


def cost_range(low: float | None, high: float | None) -> str:
    """Write the limits of a cost."""
    if low is None and high is None:
        return ""
    return f"[{dollars(low)}, {'no finite limit' if high is None else dollars(high)}]"


_SURE = 0.999


def consequences_line(one: Downstream) -> str:
    """Say what became of one version's outputs, and what that costs."""
    parts = [f"{one.accepted_bad} bad at {dollars(one.bad_usd)}"]
    if one.reviewed or one.review_usd:
        parts.append(f"{one.reviewed} reviewed at {dollars(one.review_usd)}")
    if one.withheld or one.abstain_usd:
        parts.append(f"{one.withheld} withheld at {dollars(one.abstain_usd)}")
    return " · ".join(parts)


def net_line(one: Downstream) -> str:
    """Write the net cost per good output, and what it is made of."""
    return f"{cost_per_good(one.net_cost_per_good_usd)} · {consequences_line(one)}"


def worth(one: DownstreamComparison | DownstreamDocument, base: str, head: str) -> str:
    """Say at which price of a bad output the preferred version flips."""
    if one.chance_of_head is None or one.loss_usd.value is None:
        return "it is unknown which version is worth its price: an answer is not priced"
    loss = one.loss_usd.value
    if one.crossing_bad_usd is None:
        sentence = f"{head if loss < 0 else base} costs less" if loss else f"{base} and {head} cost the same"
        sentence = f"{sentence}, whatever a bad output costs"
    elif one.head_above:
        sentence = f"{head} is worth its price as soon as a bad output costs more than {dollars(one.crossing_bad_usd)}"
    else:
        sentence = (
            f"{head} saves more than it spoils while a bad output costs less than {dollars(one.crossing_bad_usd)}"
        )
    chance = _chance(one.chance_of_head)
    return f"{sentence}; at {dollars(one.base.bad_usd)} {head} is cheaper in {chance} of resamples of these cases"


def _chance(chance: float) -> str:
    if chance >= _SURE:
        return "> 99.9 %"
    return "< 0.1 %" if chance <= 1 - _SURE else f"{100 * chance:.1f} %"


def unused_labels(unused: UnusedLabels, suite: str, judge: str, *, pairs: bool = False) -> list[str]:
    """Say of labelled outputs that no number uses why that is, and what the reader can do."""
    label = f"evalh label {quote(suite)}" + ("" if pairs else f" --about {quote(judge)}")
    run = f"evalh compare BASE HEAD --suite {quote(suite)}" if pairs else f"evalh run {quote(suite)}"
    again = f"evalh report shows its reason for each; {run} --fresh asks everything again"
    told = {
        "the judge gave no verdict (it erred or abstained)": (unused.no_verdict, again),
        "not judged by this judge as it is now": (unused.not_judged, f"{run}: it judges rows that are still there"),
        "the log has no such output for such a row: one of them has changed, or another machine ran it": (
            unused.not_in_log,
            f"label what the log has: {label}",
        ),
        "the other output of the pair has no label": (unused.one_side, f"label it, too: {label}"),
        f"labelled as good or bad, and not about {judge}": (
            unused.other_question,
            f"label for this judge: {label}",
        ),
    }
    return [
        f"{plural(count, 'labelled output')} not used: {why} ({then})" for why, (count, then) in told.items() if count
    ]
