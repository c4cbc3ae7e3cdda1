"""What every page of the viewer has: the report's look, a policy, our own script by its digest."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from msgspec import field

from evalh.core.values import Value
from evalh.report.html.markup import Anchor, Child, Markup, el, join, own, own_digest, place, whole_page
from evalh.report.html.page import asset as report_asset
from evalh.report.html.parts import sort_button, table

HTML = "text/html; charset=utf-8"
_ABOVE = "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_OF_OWN = {
    "workflows.js": ("production.css",),
    "workflow.js": ("production.css",),
    "label.js": ("label.css",),
}  # styles beside the shared ones
_ASK_AGAIN = frozenset({"live.js", "workflows.js", "workflow.js"})
_HAVE_A_FORM = frozenset({"workflows.js", "label.js"})  # which work without a script, too
_WRITE = frozenset({"label.js"})
"""They say to their own server where a form comes from: with `no-referrer` a browser sends `Origin: null`."""

REPORT_POLICY = _ABOVE  # what else holds for a report stands in its file
NOTHING = f"default-src 'none'; {_ABOVE}"


class PageAnswer(Value):
    """What a request is answered with."""

    body: bytes
    status: int = 200
    type: str = HTML
    policy: str = NOTHING
    headers: dict[str, str] = field(default_factory=dict)


@cache
def asset(name: str) -> str:
    """Read one of the viewer's own files."""
    return (files("evalh.viewer") / "assets" / name).read_text(encoding="utf-8")


def framed(
    title: str,
    main: Child,
    *,
    links: Sequence[tuple[str, str | Anchor]] = (),
    here: str = "",
    script: str = "",
    status: int = 200,
) -> PageAnswer:
    """Build a page; `script` names one of our own. Few may ask the server again or send a form; see above."""
    scripts = [report_asset("sort.js"), asset(script)] if script else []
    styles = [report_asset("page.css"), asset("view.css"), *map(asset, _OF_OWN.get(script, ()))]
    top = el(
        "div",
        el("b", "evalh"),
        el("span", title, class_="title"),
        el(
            "nav",
            [el("a", words, href=to, aria_current="page" if words == here else None) for words, to in links],
            aria_label="Pages",
        ),
        class_="top",
    )
    body = join(top, el("main", main), [own("script", text) for text in scripts])
    rules = ["default-src 'none'", f"style-src {' '.join(map(own_digest, styles))}"]
    if script:
        rules.append(f"script-src {' '.join(map(own_digest, scripts))}")
    if script in _ASK_AGAIN:
        rules.append("connect-src 'self'")
    above = _ABOVE.replace("form-action 'none'", "form-action 'self'") if script in _HAVE_A_FORM else _ABOVE
    referrer = "same-origin" if script in _WRITE else "no-referrer"
    return PageAnswer(
        whole_page(title, styles, body, referrer=referrer).encode(),
        status=status,
        policy="; ".join([*rules, above]),
        headers={"Referrer-Policy": referrer},
    )


def sorted_table(name: str, heads: Sequence[str], rows: Sequence[Markup]) -> Markup:
    """Build a table whose columns sort, intervals aside."""
    return table(name, [head if not head or head.startswith("95") else sort_button(head) for head in heads], rows)


def message(title: str, lines: Sequence[Child], *, depth: int | None, status: int) -> PageAnswer:
    """Build a page that says one thing, and what to type next; `depth` is None where no links are to be given."""
    told = [el("h1", title), [el("p", line) for line in lines]]
    links = [] if depth is None else tabs(depth)
    return framed(title, el("header", told, class_="verdict"), links=links, status=status)


def tabs(depth: int = 0) -> list[tuple[str, str | Anchor]]:
    """Return the viewer's pages, from so many folders below the list of runs."""
    up = [".."] * depth
    runs = place(*up, "") if depth else place(".")
    others = (("Production", "production"), ("Label", "label"), ("Under way", "live"))
    return [("Runs", runs), *((words, place(*up, name)) for words, name in others)]
