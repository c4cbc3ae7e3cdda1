"""The parts of the page that need no script: numbers, trade-offs, where it fails, the prompt, provenance."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import ceil

from evalh.analysis.failures import Failings, Heat
from evalh.analysis.tradeoff import Point, TradeOff
from evalh.core.log import RunRow
from evalh.core.run import Incidents, RunSummary
from evalh.report.advice import advice
from evalh.report.charts.small import histogram
from evalh.report.charts.tradeoff import chart
from evalh.report.html.markup import Child, Markup, el, join
from evalh.report.html.parts import facts, figure, interval, scrollable, section, shown_json, sort_button
from evalh.report.text import (
    BY_THE_HOUR,
    dollars,
    fine_milliseconds,
    last_attempts,
    latency_parts,
    milliseconds,
    one_line,
    percent,
    plural,
    short_cost_per_good,
    tokens,
)
from evalh.report.words import anchor, consequences_line, cost_range, reason_anchor
from evalh.stats.quantiles import quantile


def numbers(summary: RunSummary) -> Markup:
    """Show a run's numbers, each with its interval."""
    estimate, cost = summary.good_rate, summary.cost_per_good_usd
    spent = None if summary.cost_usd is None or summary.cached_cost_usd is None else summary.cost_usd
    from_log = (
        f"; the log's answers had cost {dollars(summary.cached_cost_usd)}"
        if (summary.cache_hits or summary.cached_cost_usd) and spent is not None
        else ""
    )
    judges = "" if summary.judge_cost_usd == 0 else f"; graders {dollars(summary.judge_cost_usd)}"
    hourly = [el("br"), BY_THE_HOUR] if summary.by_the_hour else None
    asked = plural(summary.attempts, "attempt")
    within = f"95 % within {milliseconds(summary.latency_p95_ms)}"
    return el(
        "dl",
        figure("Good rate", percent(estimate.value), interval(estimate)),
        figure("Cost per good output", short_cost_per_good(cost), [cost_range(cost.low, cost.high), hourly]),
        _net(summary),
        figure("Samples", f"{summary.samples:,}", _standings(summary)),
        figure("Incidents", f"{summary.apart.samples:,}", [_standings(summary.apart), el("br"), "in no good rate"])
        if summary.apart.samples
        else None,
        figure("Spent", dollars(spent), f"{asked}, {summary.cache_hits:,} from the log{from_log}{judges}"),
        figure(
            "Latency, median",
            milliseconds(summary.latency_p50_ms),
            "; ".join(filter(None, (within, latency_parts(summary.latency_parts_ms), last_attempts(summary)))),
        ),
        class_="numbers",
    )


def _net(summary: RunSummary) -> Child:
    if summary.downstream is None:
        return None
    net = summary.downstream.net_cost_per_good_usd
    more = [cost_range(net.low, net.high), el("br"), consequences_line(summary.downstream)]
    return figure("Net cost per good output", short_cost_per_good(net), more)


def _standings(of: RunSummary | Incidents) -> Markup:
    counts = {"good": of.good, "bad": of.bad, "ungraded": of.ungraded}
    return join([[el("span", f"{n:,} {word}", class_=word if n else "none"), " "] for word, n in counts.items()])


def trade_offs(chosen: TradeOff) -> Markup:
    """Show what to ship: in words, as a picture, as a table."""
    left = (
        f" {plural(chosen.left_out, 'run')} of this suite had other cases, graders or trials and cannot be compared."
        if chosen.left_out
        else ""
    )
    note = (
        "Newest complete run of each version and model. Bars are 95 % intervals; filled marks are the Pareto front"
        f" as measured: no other was both cheaper and good more often.{left}"
    )
    picture = chart(chosen) if len(chosen.points) > 1 else None
    return section(
        "tradeoffs",
        "Which should I ship?",
        el("div", [el("p", sentence) for sentence in advice(chosen)], class_="advice"),
        scrollable(picture, "Trade-off chart") if picture else None,
        scrollable(_points(chosen.points), "Trade-off table", len(chosen.points)),
        el("p", note, class_="note"),
    )


def _points(points: Sequence[Point]) -> Markup:
    heads = ["version", "model", "good rate", "95 % interval", "cost per good", "95 % interval", "samples"]
    columns = [
        el("th", head, scope="col") if head.endswith("interval") else sort_button(head)
        for head in [*heads, "median latency", "run"]
    ]
    return el("table", el("thead", el("tr", columns)), el("tbody", [_point(point) for point in points]))


def _point(point: Point) -> Markup:
    record, summary = point.record, point.summary
    rate, cost = summary.good_rate, summary.cost_per_good_usd
    flag = [" ", el("span", "front", class_="chip front")] if point.front else None
    doubt = None if point.measured else [" ", el("span", "not measured", class_="chip")]
    here = [" ", el("span", "this run", class_="chip")] if point.here else None
    return el(
        "tr",
        el("th", record.prompt, flag, doubt, here, scope="row", data_v=record.prompt),
        el("td", record.model, data_v=record.model),
        _cell(percent(rate.value), rate.value),
        el("td", interval(rate), class_="dim"),
        _cell(short_cost_per_good(cost), cost.value),
        el("td", cost_range(cost.low, cost.high), class_="dim"),
        _cell(f"{summary.samples:,}", summary.samples),
        _cell(milliseconds(summary.latency_p50_ms), summary.latency_p50_ms),
        el("td", el("code", record.id), data_v=record.id, class_="dim"),
        class_="here" if point.here else None,
    )


def _cell(text: str, value: float | None) -> Markup:
    return el("td", text, class_="num", data_v="" if value is None else repr(value))


def failing(failings: Failings, suffix: str, of: str) -> Markup:
    """Show where a run fails: grader × tag, reasons, latency and length."""
    heat = failings.heat()
    return section(
        f"fails{suffix}",
        f"Where {of} fails",
        scrollable(_heat(heat), "Graders by tag"),
        el(
            "p",
            f"Not shown: {plural(heat.tags_left_out, 'rarer tag')}. The filter of the samples has all tags.",
            class_="note",
        )
        if heat.tags_left_out
        else None,
        el("div", _reasons(failings), _distributions(failings), class_="pair"),
    )


def _heat(heat: Heat) -> Markup:
    heads = [el("th", tag or "all samples", scope="col") for tag in heat.tags]
    sizes = [el("td", f"{heat.totals[tag]:,}", class_="num dim") for tag in heat.tags]
    rows = [
        el("tr", el("th", grader, scope="row"), [_square(heat, grader, tag) for tag in heat.tags])
        for grader in heat.graders
    ]
    return el(
        "table",
        el("caption", "Samples that did not pass, by grader and tag"),
        el("thead", el("tr", el("td"), heads)),
        el("tbody", rows, el("tr", el("th", "samples", scope="row", class_="dim"), sizes)),
        class_="heat",
    )


def _square(heat: Heat, grader: str, tag: str) -> Markup:
    missed, total = heat.missed.get((grader, tag), 0), heat.totals[tag]
    if not missed:
        return el("td", "·", class_="num dim")
    words, href = f"{missed:,} of {total:,}", anchor(grader=grader, tag=tag, standing="missed")
    label = f"{grader}, {tag or 'all'}: {words}"
    link = el("a", percent(missed / total), href=href, title=words, aria_label=label)
    return el("td", link, class_=f"num h{ceil(9 * missed / total)}")


def _reasons(failings: Failings) -> Markup:
    found = failings.reasons()
    if not found:
        return el("div", el("h3", "Reasons"), el("p", "Nothing failed.", class_="note"))
    rows = []
    for reason in found:
        share = f"{reason.count} of {failings.samples}"
        meter = el("meter", value=reason.count, max=found[0].count, min=0, aria_label=share)
        words = el("b", reason.grader or "no answer"), " ", one_line(reason.text, 160)
        link = el("a", words, href=reason_anchor(reason))
        rows.append(el("tr", el("td", f"{reason.count:,}", class_="num"), el("td", meter), el("td", link)))
    return el("div", el("h3", "Reasons"), el("table", el("tbody", rows), class_="reasons"))


def _distributions(failings: Failings) -> Markup:
    pictures = [
        ("Latency", spread(failings.latencies_ms, "latency", fine_milliseconds)),
        ("Tokens of the answer", spread(failings.output_tokens, "output tokens", tokens)),
    ]
    shown = [[el("h3", name), picture] for name, picture in pictures if picture]
    finishes = {kind: count for kind, count in failings.finishes.items() if kind != "stop"}
    ends = ", ".join(f"{count:,} × {kind}" for kind, count in sorted(finishes.items()))
    return el(
        "div", shown, el("p", f"Answers that did not end by themselves: {ends}.", class_="note") if ends else None
    )


def spread(values: Sequence[float], name: str, written: Callable[[float], str]) -> Markup | None:
    """Draw a distribution with its median and its 95th percentile; None without a value."""
    ordered = sorted(values)
    marks = [(word, value) for word, share in (("p50", 0.5), ("p95", 0.95)) if (value := quantile(ordered, share))]
    return histogram(values, name, written, [(f"{word} {written(value)}", value) for word, value in marks])


def prompt(run: RunRow, suffix: str) -> Markup:
    """Show the prompt version as it was sent: its messages with their slots, its settings."""
    content = run.record.prompt_document
    parts: list[Child] = []
    sections = content.get("sections")
    for role, source in sections if isinstance(sections, list) else ():
        parts += [el("h3", str(role or "history")), el("pre", str(source))]
    rest = {key: value for key, value in content.items() if key != "sections" and value}
    parts.append(facts([(key, el("code", shown_json(value))) for key, value in rest.items()]))
    return section(
        f"prompt{suffix}",
        f"The prompt, {run.record.prompt}",
        el("details", el("summary", "Messages and settings"), parts),
    )


def provenance(run: RunRow, failings: Failings, more: Mapping[str, str], suffix: str) -> Markup:
    """Say what was measured, by what, when; `more` is what is known now: prices, judges."""
    record = run.record
    commit = (
        "not in a git repository"
        if record.commit is None
        else f"{record.commit}{', with uncommitted changes' if record.dirty else ''}"
    )
    answered = (
        ", ".join(f"{name} ({count:,})" for name, count in failings.models.most_common())
        or "not stated by the provider"
    )
    rows: list[tuple[str, Child]] = [
        ("run", el("code", record.id)),
        ("started", _instant(record.started_at)),
        ("ended", "not ended" if run.finished_at is None else f"{_instant(run.finished_at)}, {run.status.value}"),
        ("suite", f"{record.suite}{'' if record.owner is None else f', owned by {record.owner}'}"),
        ("commit", commit),
        ("model asked", f"{record.model_sent} ({record.model} in the workspace)"),
        ("model answered", answered),
        (
            "selection",
            shown_json(dict(record.selection))
            if record.selection
            else f"every case, {plural(record.trials, 'trial')} each",
        ),
        ("evalh", record.evalh_version),
        *more.items(),
        *((f"fingerprint: {part}", el("code", digest)) for part, digest in record.fingerprint.document().items()),
    ]
    return section(f"provenance{suffix}", "Provenance", facts(rows))


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
