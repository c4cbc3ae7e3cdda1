"""The report as one HTML file that stands on its own: no server, no network, nothing that runs but our own script.

The page's policy (Content-Security-Policy) admits our style and our script by their digests and refuses all else.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from evalh.analysis.tradeoff import TradeOff
from evalh.core.log import RunRow
from evalh.report.charts.pipeline import Filters
from evalh.report.documents.gate import GateDocument
from evalh.report.html import comparison as comparing
from evalh.report.html import gate as gates
from evalh.report.html import matrix, sections
from evalh.report.html.confusion import confusion_section
from evalh.report.html.data import Rows, document
from evalh.report.html.history import history
from evalh.report.html.markup import Child, Markup, data, el, join, own, own_digest, place, whole_page
from evalh.report.html.matrix_data import MatrixRows
from evalh.report.html.parts import look_at, row
from evalh.report.html.samples import samples
from evalh.report.html.steps import pipeline, where_first
from evalh.report.terminal.calibration import judge_facts
from evalh.report.terminal.compare import ComparisonView
from evalh.report.text import plural
from evalh.report.words import RunReport, pointers, sides_differ, verdict

_COMPARED = {"sides": "Both sides", "samples": "Samples", "diff": "Prompts"}
_OF_HEAD = {"history": "History", "tradeoffs": "Trade-offs", "fails": "Where it fails", "provenance": "Provenance"}
_PLACES = {name: (_OF_HEAD | _COMPARED)[name] for name in ("tradeoffs", "fails", "samples", "history", "provenance")}

_MATRIX = {"versions": "Versions", "matrix": "Every case", "tradeoffs": "Trade-offs", "provenance": "Provenance"}
_STEPS = {"steps": "Steps"}
_GATED = {"rules": "Rules", "diff": "Prompt diff", "samples": "Samples", "provenance": "Provenance"}


def html(reported: Sequence[RunReport], rows: Rows) -> str:
    """Return the page about these runs; the first gives its title."""
    first = reported[0].run.record
    title = f"{first.prompt} on {first.model} · {first.suite}{' and others' if len(reported) > 1 else ''}"
    steps = [_steps(one, number, len(reported)) for number, one in enumerate(reported)]
    main = join([_verdict(one) for one in reported], steps, _rest(reported, rows))
    names = [f"{one.run.record.prompt} on {one.run.record.model}" for one in reported]
    return _document(title, {**_STEPS, **_PLACES} if reported[0].traffic else _PLACES, main, (rows, names))


def compared_html(view: ComparisonView, head: RunReport | None, rows: Rows) -> str:
    """Return the page about a comparison; `head` is None if its run is not in the log."""
    top = el(
        "header",
        el("h1", comparing.verdict(view)),
        el("p", sides_differ(view.comparison), class_="note"),
        comparing.numbers(view.comparison) if view.comparison.comparable else None,
        look_at(comparing.look_at(view.comparison)),
        class_="verdict",
    )
    parts: list[Child] = [comparing.sides(view.comparison), None if head is None else _steps(head, 0, 1, "head")]
    parts.append(samples(rows, several=False, compared=True))
    parts.append(comparing.prompt_diff(view.difference))
    if head is not None:
        parts += [history(head.past), sections.trade_offs(head.chosen), sections.failing(head.failings, "", "head")]
        parts.append(None if head.confusion is None else confusion_section(head.confusion, "", "head"))
        parts.append(_provenance(head, ""))
    places = _COMPARED if head is None else {**_COMPARED, **_OF_HEAD}
    places = places if head is None or head.traffic is None else {**_STEPS, **places}
    return _document(comparing.title(view), places, join(top, parts), (rows, [view.comparison.head.prompt]))


def gate_html(gate: GateDocument, rows: Rows, runs: Mapping[str, str]) -> str:
    """Return the page about a gate's decision; `runs` are head's whose samples the page holds, with their suites."""
    parts: list[Child] = [gates.top(gate), gates.suites(gate), differing := gates.differences(gate)]
    if runs:
        parts.append(samples(rows, several=len(runs) > 1, compared=True))
    parts.append(gates.provenance(gate, list(runs)))
    there = {"samples": bool(runs), "diff": differing is not None}
    places = {name: words for name, words in _GATED.items() if there.get(name, True)}
    return _document(f"gate {gates.title(gate)}", places, join(parts), (rows, list(runs.values())), live=bool(runs))


def matrix_html(runs: Sequence[RunRow], rows: MatrixRows, chosen: TradeOff) -> str:
    """Return the page of these runs side by side: every case under every version and model."""
    title = f"{runs[0].record.suite}: {plural(len(runs), 'version and model', 'versions and models')}"
    stepped = any(run.record.steps for run in runs)
    scripts, styles = _scripts("matrix.js", stepped=stepped), [*_styles(stepped=stepped), asset("matrix.css")]
    parts = [_bar(title, _MATRIX, linked=rows.linked), el("main", matrix.main(runs, rows, chosen)), matrix.keys()]
    body = join(el("a", "Skip to the cells", href="#matrix", class_="skip"), parts, _live(rows.document(), scripts))
    return whole_page(title, styles, body, _policy(scripts, styles))


def _bar(title: str, places: Mapping[str, str], *, linked: bool) -> Markup:
    back = el("a", "All runs", href=place("..", "")) if linked else None
    links = el("nav", back, [el("a", words, href=f"#{name}") for name, words in places.items()], aria_label="Parts")
    return el("div", el("b", "evalh"), el("span", title, class_="title"), links, class_="top")


def _live(content: str, scripts: Sequence[str]) -> Markup:
    return join(data("evalh-data", content), [own("script", script) for script in scripts])


def _document(
    title: str, places: Mapping[str, str], main: Markup, shown: tuple[Rows, Sequence[str]], *, live: bool = True
) -> str:
    stepped = bool(shown[0].shapes)
    scripts, styles = _scripts("page.js", stepped=stepped), _styles(stepped=stepped)
    body = join(
        el("a", "Skip to the samples", href="#samples", class_="skip") if live else None,
        _bar(title, places, linked=shown[0].linked),
        el("main", main),
        _help() if live else None,
        _live(document(*shown), scripts) if live else None,
    )
    return whole_page(title, styles, body, _policy(scripts, styles))


def _steps(one: RunReport, number: int, several: int, of: str = "it") -> Markup | None:
    if one.traffic is None:
        return None
    filters = Filters(str(number) if several > 1 else "")
    name = f"{one.run.record.prompt} on {one.run.record.model}" if several > 1 else of
    return where_first(one.run, one.traffic, name, _suffix(number), filters)


def _rest(reported: Sequence[RunReport], rows: Rows) -> Markup:
    several = len(reported) > 1
    parts: list[Child] = [sections.trade_offs(reported[0].chosen)]
    for number, one in enumerate(reported):
        of = f"{one.run.record.prompt} on {one.run.record.model}" if several else "it"
        parts.append(sections.failing(one.failings, _suffix(number), of))
        parts.append(None if one.confusion is None else confusion_section(one.confusion, _suffix(number), of))
    parts += [samples(rows, several=several), history(reported[0].past)]
    for number, one in enumerate(reported):
        prompt = sections.prompt if one.traffic is None else pipeline
        parts += [prompt(one.run, _suffix(number)), _provenance(one, _suffix(number))]
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
        sections.numbers(summary) if summary is not None and summary.evaluated else None,
        look_at(pointers(one.run, one.failings, one.traffic)),
        class_="verdict",
    )


def _help() -> Markup:
    keys = {
        "j k": "next, previous sample",
        "n p": "next, previous sample that is not good",
        "/": "search",
        "g": "to the samples",
    }
    keys |= {"Esc": "leave the search, clear it", "?": "these keys"}
    rows = [row(el("kbd", key), words) for key, words in keys.items()]
    close = el("form", el("button", "Close", value="close"), method="dialog")
    return el("dialog", el("h2", "Keys"), el("table", el("tbody", rows)), close, id="help", aria_label="Keys")


def _scripts(last: str, *, stepped: bool) -> list[str]:
    """Return the page's scripts. A line of the last that ends in `// steps` is for pages that show a pipeline's run."""
    page = asset(last).splitlines(keepends=True)
    if stepped:
        return [asset("sort.js"), asset("parts.js"), asset("steps.js"), "".join(page)]
    return [asset("sort.js"), asset("parts.js"), "".join(line for line in page if not line.endswith("// steps\n"))]


def _styles(*, stepped: bool) -> list[str]:
    return [asset("page.css"), *([asset("steps.css")] if stepped else [])]


def _policy(scripts: Sequence[str], styles: Sequence[str]) -> Markup:
    rules = (
        "default-src 'none'",
        f"style-src {' '.join(map(own_digest, styles))}",
        f"script-src {' '.join(map(own_digest, scripts))}",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return el("meta", http_equiv="Content-Security-Policy", content="; ".join(rules))


@cache
def asset(name: str) -> str:
    """Read one of the page's own files."""
    return (files("evalh.report.html") / "assets" / name).read_text(encoding="utf-8")
