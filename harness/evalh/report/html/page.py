"""The report as one HTML file that stands on its own: no server, no network, nothing that runs but our own script.

The page's policy (Content-Security-Policy) admits our style and our script by their digests and refuses all else.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from evalh.report.documents.gate import GateDocument
from evalh.report.html import comparison as comparing
from evalh.report.html import gate as gates
from evalh.report.html import sections
from evalh.report.html.data import Rows, document
from evalh.report.html.history import history
from evalh.report.html.markup import Child, Markup, data, el, join, own, own_digest, whole_page
from evalh.report.html.parts import look_at, row
from evalh.report.html.samples import samples
from evalh.report.terminal.calibration import judge_facts
from evalh.report.terminal.compare import ComparisonView
from evalh.report.words import RunReport, pointers, verdict

_COMPARED = {"sides": "Both sides", "samples": "Samples", "diff": "Prompts"}
_OF_HEAD = {"history": "History", "tradeoffs": "Trade-offs", "fails": "Where it fails", "provenance": "Provenance"}
_PLACES = {name: (_OF_HEAD | _COMPARED)[name] for name in ("tradeoffs", "fails", "samples", "history", "provenance")}

_SCRIPTS = ("sort.js", "page.js")
_GATED = {"rules": "Rules", "samples": "Samples", "provenance": "Provenance"}


def html(reported: Sequence[RunReport], rows: Rows) -> str:
    """Return the page about these runs; the first gives its title."""
    first = reported[0].run.record
    title = f"{first.prompt} on {first.model} · {first.suite}{' and others' if len(reported) > 1 else ''}"
    main = join([_verdict(one) for one in reported], _rest(reported, rows))
    names = [f"{one.run.record.prompt} on {one.run.record.model}" for one in reported]
    return _document(title, _PLACES, main, document(rows, names))


def compared_html(view: ComparisonView, head: RunReport | None, rows: Rows) -> str:
    """Return the page about a comparison; `head` is None if its run is not in the log."""
    top = el(
        "header",
        el("h1", comparing.verdict(view)),
        comparing.numbers(view.comparison) if view.comparison.comparable else None,
        look_at(comparing.look_at(view.comparison)),
        class_="verdict",
    )
    parts: list[Child] = [comparing.sides(view.comparison), samples(rows, several=False, compared=True)]
    parts.append(comparing.prompt_diff(view.difference))
    if head is not None:
        parts += [history(head.past), sections.trade_offs(head.chosen), sections.failing(head.failings, "", "head")]
        parts.append(_provenance(head, ""))
    places = _COMPARED if head is None else {**_COMPARED, **_OF_HEAD}
    return _document(comparing.title(view), places, join(top, parts), document(rows, [view.comparison.head.prompt]))


def gate_html(gate: GateDocument, rows: Rows, runs: Mapping[str, str]) -> str:
    """Return the page about a gate's decision; `runs` are head's whose samples the page holds, with their suites."""
    parts: list[Child] = [gates.top(gate), gates.suites(gate)]
    if runs:
        parts.append(samples(rows, several=len(runs) > 1, compared=True))
    parts.append(gates.provenance(gate, list(runs)))
    places = {name: words for name, words in _GATED.items() if runs or name != "samples"}
    return _document(f"gate {gates.title(gate)}", places, join(parts), document(rows, runs.values()), live=bool(runs))


def _document(title: str, places: Mapping[str, str], main: Markup, content: str, *, live: bool = True) -> str:
    links = el("nav", [el("a", words, href=f"#{name}") for name, words in places.items()], aria_label="Parts")
    body = join(
        el("a", "Skip to the samples", href="#samples", class_="skip") if live else None,
        el("div", el("b", "evalh"), el("span", title, class_="title"), links, class_="top"),
        el("main", main),
        _help() if live else None,
        [data("evalh-data", content), [own("script", asset(name)) for name in _SCRIPTS]] if live else None,
    )
    return whole_page(title, [asset("page.css")], body, _policy())


def _rest(reported: Sequence[RunReport], rows: Rows) -> Markup:
    several = len(reported) > 1
    parts: list[Child] = [sections.trade_offs(reported[0].chosen)]
    for number, one in enumerate(reported):
        of = f"{one.run.record.prompt} on {one.run.record.model}" if several else "it"
        parts.append(sections.failing(one.failings, _suffix(number), of))
    parts += [samples(rows, several=several), history(reported[0].past)]
    for number, one in enumerate(reported):
        parts += [sections.prompt(one.run, _suffix(number)), _provenance(one, _suffix(number))]
    return join(parts)


def _provenance(one: RunReport, suffix: str) -> Markup:
    return sections.provenance(one.run, one.failings, {**one.prices, **judge_facts(one.judges)}, suffix)


def _suffix(number: int) -> str:
    return "" if number == 0 else f"-{number + 1}"


def _verdict(one: RunReport) -> Markup:
    summary = one.run.summary
    return el(
        "header",
        el("h1", verdict(one.run)),
        sections.numbers(summary) if summary is not None and summary.samples else None,
        look_at(pointers(one.run, one.failings)),
        class_="verdict",
    )


def _help() -> Markup:
    keys = {"j k": "next, previous sample", "/": "search", "g": "to the samples"}
    keys |= {"Esc": "leave the search, clear it", "?": "these keys"}
    rows = [row(el("kbd", key), words) for key, words in keys.items()]
    close = el("form", el("button", "Close", value="close"), method="dialog")
    return el("dialog", el("h2", "Keys"), el("table", el("tbody", rows)), close, id="help", aria_label="Keys")


def _policy() -> Markup:
    rules = (
        "default-src 'none'",
        f"style-src {own_digest(asset('page.css'))}",
        f"script-src {' '.join(own_digest(asset(name)) for name in _SCRIPTS)}",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return el("meta", http_equiv="Content-Security-Policy", content="; ".join(rules))


@cache
def asset(name: str) -> str:
    """Read one of the page's own files."""
    return (files("evalh.report.html") / "assets" / name).read_text(encoding="utf-8")
