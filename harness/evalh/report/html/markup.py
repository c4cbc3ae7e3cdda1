"""HTML and SVG, escaped by construction: text is escaped where it enters, and nothing else can enter.

There is no template and no raw string to forget: an element is built from a name, attributes and children. A child that
is not `Markup` is text. What could run or load (event handlers, styles, addresses outside the page) cannot be written.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from html import escape
from typing import TypeAlias
from urllib.parse import quote, urlencode

from evalh.report.text import inert

_NAME = re.compile(r"[a-z][a-zA-Z0-9-]*\Z")
_REFUSED = frozenset({"style", "src", "srcset", "srcdoc", "action", "formaction", "background", "data", "poster"})
_VOID = frozenset({"meta", "link", "input", "br", "hr"})


class Markup(str):
    """Finished markup: made by this module alone."""

    __slots__ = ()


class Anchor(str):
    """An address below the page's own, on the server that it came from: made by `place` and `asking` alone."""

    __slots__ = ()


def place(*parts: str) -> Anchor:
    """Return the relative address with these parts: nothing in them can leave the server, or run."""
    return Anchor("/".join(quote(part, safe="", errors="replace") for part in parts))


def asking(at: Anchor, **values: str | None) -> Anchor:
    """Return an address with what it is asked for; None leaves a value out."""
    asked = urlencode({name: value for name, value in values.items() if value is not None}, errors="replace")
    return Anchor(f"{at}?{asked}") if asked else at


Child: TypeAlias = "Markup | str | int | float | Iterable[Child] | None"
Attribute: TypeAlias = str | int | float | bool | None


def el(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """Build an element. `class_` is class, `aria_label` is aria-label; None and False leave an attribute out.

    Raises ValueError for a name that could run or load something.
    """
    if not _NAME.match(name) or name in {"script", "style", "iframe", "object", "embed"}:
        raise ValueError(f"no element {name!r} here")
    opening = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Markup(opening if name in _VOID else f"{opening}{_inside(children)}</{name}>")


def join(*children: Child) -> Markup:
    """Put children one after the other."""
    return Markup(_inside(children))


def own(name: str, content: str, **attributes: Attribute) -> Markup:
    """Build a script or style element from our own file, byte for byte: its digest stands in the page's policy."""
    if f"</{name}" in content.lower():
        raise ValueError(f"a {name} cannot hold its own end")
    return Markup(f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>{content}</{name}>")


def data(name: str, text: str) -> Markup:
    """Build a block of JSON that the page's script reads: no `<` in it, so nothing in it ends the block."""
    return own("script", text.replace("<", "\\u003c"), id=name, type="application/json")


def _inside(children: Iterable[Child]) -> str:
    return "".join(map(_child, children))


def _child(child: Child) -> str:
    match child:
        case Markup():
            return child
        case None:
            return ""
        case str():
            return escape(inert(child), quote=False)
        case int() | float():
            return str(child)
        case _:
            return _inside(child)


def _attribute(key: str, value: Attribute) -> str:
    name = _attribute_name(key)
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    if name == "href" and not isinstance(value, Anchor) and not str(value).startswith("#"):
        raise ValueError("a link leads to a place in the page")
    if isinstance(value, int | float):
        return f' {name}="{value}"'
    return f' {name}="{escape(inert(value))}"'


@cache
def _attribute_name(key: str) -> str:
    name = key.rstrip("_").replace("_", "-")
    if not _NAME.match(name) or name.startswith("on") or name in _REFUSED:
        raise ValueError(f"no attribute {name!r} here")
    return name


def own_digest(text: str) -> str:
    """Return how a page's policy names a script or style of ours."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def whole_page(
    title: str, styles: Sequence[str], body: Markup, policy: Markup | None = None, referrer: str = "no-referrer"
) -> str:
    """Return a page: what every page says of itself, its own styles, a policy where the page holds it, its body."""
    pairs = {
        "viewport": "width=device-width, initial-scale=1",
        "color-scheme": "light dark",
        "referrer": referrer,
        "robots": "noindex",
        "generator": "evalh",
    }
    head = el(
        "head",
        el("meta", charset="utf-8"),
        policy,
        [el("meta", name=name, content=content) for name, content in pairs.items()],
        el("title", f"{title} · evalh"),
        [own("style", style) for style in styles],
    )
    return f"<!doctype html>\n{el('html', head, el('body', body), lang='en')}\n"
