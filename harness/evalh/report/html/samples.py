"""The frame that the page's script fills with samples: filters, list, detail. Without scripts it says what to type."""

from collections.abc import Mapping

from evalh.analysis.confusion import ANOTHER, NO_LABEL
from evalh.report.html.comparison import CHANGES
from evalh.report.html.data import BAD_BYTES, GOOD_BYTES, Rows
from evalh.report.html.markup import Markup, el, join
from evalh.report.html.parts import section
from evalh.report.terminal.pipeline import WORDS
from evalh.report.text import plural

_STANDINGS = {"all": "all", "missed": "not good", "bad": "bad", "ungraded": "ungraded", "good": "good"}
_ORDERS = {"dataset": "dataset order", "latency": "slowest first", "cost": "most expensive first"}
_ORDERS |= {"attempts": "most attempts first"}
_KEYS = (
    ("j", " "),
    ("k", " next and previous, "),
    ("n", " next that is not good, "),
    ("/", " search, "),
    ("?", " all keys."),
)


def samples(rows: Rows, *, several: bool, compared: bool = False) -> Markup:
    """Build the section of the samples."""
    return section(
        "samples",
        "Samples",
        el("p", "", id="count", role="status", class_="note"),
        el("noscript", el("p", "The list of samples needs this page's own script. Without it: evalh show ID.")),
        _filters(rows, several=several, compared=compared),
        el("p", "", id="chosen", class_="note") if rows.shapes else None,
        el(
            "div",
            el("div", id="list", role="listbox", tabindex=0, aria_label="Samples"),
            el("article", id="detail", aria_live="polite", aria_label="The chosen sample", tabindex=-1),
            class_="panes",
        ),
        el("p", _left_out(rows), class_="note"),
        el("p", "Keys: ", [[el("kbd", key), words] for key, words in _KEYS], class_="note keys"),
    )


def _filters(rows: Rows, *, several: bool, compared: bool) -> Markup:
    radios = [
        el(
            "label",
            el("input", type="radio", name="standing", value=name, checked=name == "all"),
            el("span", words, " ", el("i", "", id=f"n-{name}")),
        )
        for name, words in _STANDINGS.items()
    ]
    words = "search ids, texts, reasons"
    search = el("input", type="search", id="q", placeholder=words, autocomplete="off", spellcheck="false")
    tags = {"": "any tag", **{tag: tag for tag in sorted(rows.tags)}}
    return el(
        "form",
        el("fieldset", el("legend", "Standing", class_="hidden"), radios, class_="segments"),
        _label("Search", search),
        _label("Change", _select("change", {"": "any change or none", **CHANGES})) if compared else None,
        _label("Tag", _select("tag", tags)) if rows.tags else None,
        _label("Grader", _select("grader", {"": "any grader", **{name: f"{name} missed" for name in rows.of_samples}})),
        _of_labels(rows) if rows.labels else None,
        _label("Run", _select("run", {"": "every run"})) if several else None,
        _of_steps(rows) if rows.shapes else None,
        _label("Order", _select("sort", _ORDERS)),
        id="filters",
        role="search",
    )


def _of_labels(rows: Rows) -> Markup:
    golds, said = ({name: f"{word} {name}" for name in sorted(rows.labels)} for word in ("gold", "said"))
    golds = {name: words for name, words in golds.items() if name not in (ANOTHER, NO_LABEL)}
    first = _label("Gold label", _select("gold", {"": "any gold label", **golds}))
    return join(first, _label("Label of the output", _select("said", {"": "any label said", **said})))


def _of_steps(rows: Rows) -> Markup:
    found = [shape.traffic.words for shape in rows.shapes.values()]
    kinds = {word.value: name for word, name in WORDS.items() if any(words[word] for words in found)}
    groups: dict[str, dict[str, str]] = {}
    for shape in rows.shapes.values():
        for name, tokens in shape.tokens().items():
            groups[name] = groups.get(name, {}) | tokens
    steps = [el("optgroup", _options(tokens), label=name) for name, tokens in groups.items()]
    return join(
        _label("Kind", _select("kind", {"": "every kind", **kinds})),
        _label("Step", el("select", el("option", "any step", value=""), steps, id="at")),
    )


def _label(name: str, control: Markup) -> Markup:
    return el("label", el("span", name, class_="hidden"), control)


def _select(name: str, options: dict[str, str]) -> Markup:
    return el("select", _options(options), id=name)


def _options(options: Mapping[str, str]) -> Markup:
    return join([el("option", words, value=value) for value, words in options.items()])


def _left_out(rows: Rows) -> str:
    parts = []
    if rows.clipped:
        clipped = plural(rows.clipped, "good sample")
        steps = ", and as much of their steps" if rows.shapes else ""
        parts.append(f"Of {clipped} only the beginning of the texts is here ({GOOD_BYTES} bytes each{steps}).")
    if rows.dropped:
        parts.append(f"Of {plural(rows.dropped, 'sample')} the texts are not here: the page would be too large.")
    if parts:
        parts.append(f"Texts of other samples stop at {BAD_BYTES:,} bytes. The log has them whole: evalh show ID.")
    return " ".join(parts)
