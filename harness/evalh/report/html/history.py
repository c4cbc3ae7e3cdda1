"""The page's history: what was measured of the suite, by version and commit, as a picture and as a table."""

from datetime import UTC, datetime

from evalh.analysis.history import History, Moment
from evalh.report.charts.history import history_chart
from evalh.report.html.markup import Markup, el
from evalh.report.html.parts import NUMBERS, captioned, scrollable, section
from evalh.report.text import limits, percent, plural, short_cost_per_good
from evalh.report.words import cost_range

_HEADS = ("measured", "version", "commit", "model", "good rate", "95 % interval", "cost per good", "95 % interval")


def history(past: History) -> Markup:
    """Show the good rate and the cost per good output as they were measured, oldest first."""
    columns = [el("th", word, scope="col", class_="num" if word in NUMBERS else None) for word in (*_HEADS, "run")]
    picture = history_chart(past)
    words = (
        None
        if len(past.moments) > 1
        else el("p", "The same cases and graders measured nothing else yet: there is no history.", class_="note")
    )
    table = captioned("History", columns, [_row(moment) for moment in past.moments])
    return section(
        "history",
        "History",
        words,
        scrollable(picture, "History chart") if picture else None,
        scrollable(table, "History table", len(past.moments)),
        el("p", _note(past), class_="note"),
    )


def _row(moment: Moment) -> Markup:
    record, summary = moment.record, moment.summary
    rate, cost = summary.good_rate, summary.cost_per_good_usd
    at = datetime.fromtimestamp(record.started_at, UTC)
    return el(
        "tr",
        el("td", f"{at:%Y-%m-%d %H:%M}", class_="dim"),
        el(
            "th",
            moment.version,
            [" ", el("span", "this version", class_="chip")] if moment.here else None,
            None if moment.measured else [" ", el("span", "not measured", class_="chip")],
            scope="row",
        ),
        el("td", el("code", moment.commit)),
        el("td", record.model),
        el("td", percent(rate.value), class_="num"),
        el("td", limits(rate), class_="dim"),
        el("td", short_cost_per_good(cost), class_="num"),
        el("td", cost_range(cost.low, cost.high), class_="dim"),
        el("td", el("code", record.id), class_="dim"),
        class_="here" if moment.here else None,
    )


def _note(past: History) -> str:
    parts = ["The newest measurement of each content and model, by the same cases and graders."]
    if any(moment.record.dirty for moment in past.moments):
        parts.append("* with uncommitted changes.")
    if past.repeated:
        parts.append(f"{plural(past.repeated, 'other run')} of the same content left out.")
    if past.older:
        parts.append(f"{plural(past.older, 'older moment')} left out: evalh sql has them.")
    return " ".join(parts)
