"""How numbers and untrusted text look, in a terminal, a file or a page.

Imports no rich: a run's live line needs these words before its first request.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import floor, log10
from typing import TYPE_CHECKING

from evalh.core.run import Estimate, Incidents, RunRecord, RunResult, RunStatus, RunSummary
from evalh.core.strict_json import JsonValue

if TYPE_CHECKING:
    from evalh.analysis.compare.comparison import Side

_ACTIVE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the direction of text
    "\u2028\u2029"  # what some readers take for the end of a line
    "\ud800-\udfff"  # lone surrogates: no encoding carries them
)
_IN_A_LINE = re.compile(f"[\n{_ACTIVE}]")
_IN_LINES = re.compile(f"[{_ACTIVE}]")


def safe(text: str) -> str:
    """Make text inert and one line: control characters, line breaks and what reverses a line become escapes."""
    return _escaped(text, _IN_A_LINE)


def inert(text: str) -> str:
    """Make text inert that may have several lines: for a file or a page, where its place keeps them apart from ours."""
    return _escaped(text, _IN_LINES)


def _escaped(text: str, active: re.Pattern[str]) -> str:
    if text.isprintable():  # nothing that is active is printable: most texts need no search
        return text
    found = {*active.findall(text)}
    return text.translate({ord(one): one.encode("unicode_escape").decode() for one in found}) if found else text


def json_line(value: JsonValue) -> str:
    """Write a JSON value on one line, inert."""
    return safe(json.dumps(value, ensure_ascii=False))


def typable(text: str) -> str | None:
    """Quote a name for a shell where that is needed; None for one that nobody can type."""
    return shlex.quote(text) if text.isprintable() and safe(text) == text and not text.startswith("-") else None


def show_command(id_: str, width: int) -> str:
    """Return the command that shows something by its id; the id alone where it is long or nobody can type it."""
    typed = typable(id_)
    return one_line(id_, width) if typed is None or len(typed) > width else f"evalh show {typed}"


def one_line(text: str, width: int) -> str:
    """Make text inert and fit it on one line of `width` characters."""
    flat = safe(" ".join(text.split()))
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def cut_inside(text: str, width: int) -> str:
    """Fit an id on one line of `width` characters: ids of a dataset differ at their end, so that is kept."""
    flat = safe(" ".join(text.split()))
    tail = width // 2
    return flat if len(flat) <= width else f"{flat[: width - tail - 1]}…{flat[-tail:]}"


def percent(share: float | None) -> str:
    """Write a share as `80.0 %`."""
    return "unknown" if share is None else f"{100 * share:.1f} %"


def plural(count: int, word: str, several: str | None = None) -> str:
    """Write a count with its noun; `several` is the plural of an irregular one."""
    return f"{count:,} {word if count == 1 else several or f'{word}s'}"


def incidents(apart: Incidents) -> str:
    """Say how the samples of incidents went; empty if there are none."""
    if not apart.samples:
        return ""
    ungraded = f", {apart.ungraded:,} ungraded" if apart.ungraded else ""
    return f"{apart.good:,} of {plural(apart.samples, 'sample')} good{ungraded}, counted apart"


def not_measured(record: RunRecord, summary: RunSummary) -> list[str]:
    """Say where more samples are ungraded than the suite allows: among the others, and among incidents."""
    parts: dict[str, RunSummary | Incidents] = {"": summary, "incidents: ": summary.apart}
    return [
        f"{name}{too_many_ungraded(part.ungraded, plural(part.samples, 'sample'), record.max_ungraded)}"
        for name, part in parts.items()
        if record.unmeasured(part)
    ]


def unmeasured_lines(results: Sequence[RunResult]) -> list[str]:
    """Say which complete runs are not measured, and why; `evalh run` exits with 4 because of it."""
    return [
        safe(f"not measured: {whose}{told}")
        for result in results
        if result.status is RunStatus.COMPLETE
        for whose in [f"{result.record.prompt} on {result.record.model}: " if len(results) > 1 else ""]
        for told in not_measured(result.record, result.summary)
    ]


def too_many_ungraded(ungraded: int, of: str, most: float) -> str:
    """Say that more is ungraded than a suite allows; `of` is what there is: `40 samples`."""
    are = "is" if ungraded == 1 else "are"
    return f"{ungraded:,} of {of} {are} ungraded, and the suite allows {100 * most:g} % (max_ungraded)"


def in_clusters(cases: int, clusters: int | None) -> str:
    """Write `150 cases in 31 clusters`; without the clusters where each case is one."""
    told = plural(cases, "case")
    return told if clusters is None or clusters == cases else f"{told} in {plural(clusters, 'cluster')}"


def rate(estimate: Estimate) -> str:
    """Write a rate with its interval."""
    if estimate.method == "ungraded":
        return "unknown: no sample was graded"
    if estimate.value is None:
        return "unknown"
    return f"{percent(estimate.value)}  {limits(estimate)}".rstrip()


def limit(bound: float) -> str:
    """Write one limit of a difference, in points: to a hundredth where a tenth hides on which side of 0 it lies."""
    tenth, hundredth = f"{100 * bound:+.1f}", f"{100 * bound:+.2f}"
    return hundredth if float(tenth) == 0 and float(hundredth) else tenth


def limits(estimate: Estimate) -> str:
    """Write the limits of a rate, in percent; empty if one is unknown."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def dollars(amount: Decimal | float | None) -> str:
    """Write an amount: cents above a dollar, three significant digits below, never with an exponent."""
    if amount is None:
        return "not priced"
    value = float(amount)
    shown = float(f"{value:.3g}") if abs(value) < 1 else value
    if shown == 0 or abs(shown) >= 1 or round(shown, 2) == shown:
        return f"${shown:,.2f}"
    return f"${shown:.{2 - floor(log10(abs(shown)))}f}".rstrip("0")


def usd(amount: Decimal | None) -> float | None:
    """Return an amount as a JSON number; None if it is not known."""
    return None if amount is None else float(amount)


def cost_per_good(estimate: Estimate) -> str:
    """Write the cost per good output; says so where it is not priced or has no finite upper limit."""
    if estimate.method == "unpriced":
        return "not priced"
    if estimate.value is None:
        return f"no good output; above {dollars(estimate.low)}" if estimate.low else "no good output"
    if estimate.low is None:
        return dollars(estimate.value)
    if estimate.high is None:
        return f"{dollars(estimate.value)}  [{dollars(estimate.low)}, no finite upper limit]"
    return f"{dollars(estimate.value)}  [{dollars(estimate.low)}, {dollars(estimate.high)}]"


def short_cost_per_good(estimate: Estimate) -> str:
    """Write the cost per good output where there is no room for its interval."""
    if estimate.method == "unpriced":
        return "not priced"
    return "none good" if estimate.value is None else dollars(estimate.value)


def milliseconds(value: float | None) -> str:
    """Write a latency."""
    if value is None:
        return "unknown"
    return f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"  # noqa: PLR2004 (readable from there on)


def fine_milliseconds(value: float) -> str:
    """Write a latency on an axis, where neighbours of less than 10 ms must differ too."""
    if value < 1:
        return f"{float(f'{1000 * value:.2g}'):g} µs"
    return f"{float(f'{value:.2g}'):g} ms" if value < 10 else milliseconds(value)  # noqa: PLR2004 (whole from there on)


def tokens(value: float) -> str:
    """Write a number of tokens on an axis, or a quantile of some, which need not be whole."""
    return f"{value:.1f}".removesuffix(".0")


def latency_parts(parts: Mapping[str, float] | None) -> str | None:
    """Say what latencies are made of, on average; None if they are one attempt's each."""
    shown = {} if parts is None else {name: ms for name, ms in parts.items() if round(ms)}
    if not shown.keys() - {"attempts"}:
        return None
    return f"on average {', '.join(f'{milliseconds(ms)} {name}' for name, ms in shown.items())}"


BY_THE_HOUR = "by the hour: more on a busy machine (evalh model price)"
"""Stands beside costs that come of a price per hour."""


def latency(of: "RunSummary | Side") -> list[str]:
    """Write what half and nearly all latencies stay below; where they are not whole, a second line says so."""
    text = f"p50 {milliseconds(of.latency_p50_ms)} · p95 {milliseconds(of.latency_p95_ms)}"
    note = last_attempts(of)
    return [text] if note is None else [text, note]


def last_attempts(of: "RunSummary | Side") -> str | None:
    """Say where latencies are the last attempt's alone; None if they are whole."""
    count, samples = of.last_attempts, of.samples
    if count == 0 or of.latency_p50_ms is None:
        return None
    whose = "" if count is None or count == samples else f"{count:,} of {samples:,} "
    return f"{whose}of the last attempt only, from the log of an older version"


def p_text(p_value: float | None) -> str:
    """Write a p-value; what is below a ten-thousandth needs no digits."""
    if p_value is None:
        return "unknown"
    return "< 0.0001" if p_value < 0.0001 else f"{p_value:.4f}"  # noqa: PLR2004 (the smallest that is shown)
