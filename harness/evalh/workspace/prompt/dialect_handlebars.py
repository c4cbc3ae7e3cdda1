"""Handlebars, opted into. Google's engine renders; we show values as JSON and refuse what is missing."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from evalh.core.errors import UsageError, did_you_mean
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.workspace.prompt.bodies import MOST_CODE, BodyError, MissingInput, RenderError, Token, TokenKind
from evalh.workspace.prompt.dialect_portable import HISTORY, refused_history, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotpromptz_handlebars import Handlebars as Engine
    from dotpromptz_handlebars import HelperOptions

_TAG_START = re.compile(r"(?<!\\)(\\*)\{\{")
_COMMENT = re.compile(r"\{\{~?!")
_NAME = re.compile(r"[A-Za-z_$][\w$-]*")
_PATH = re.compile(r"""[^\s"'()|=]+""")
_QUOTED = re.compile(r"""\"[^"]*\"|'[^']*'""")
_HISTORY = re.compile(rf"(?:^|[\s({{#^&~])((?:@root\.|this\.|\.\./)*){HISTORY}(?=[\s.)}}~/]|$)")
_SHOW = "evalh-show"  # stands in for every printed value
_HELPERS = ("json", "lookup")
_BLOCK_HELPERS = ("each", "if", "ifEquals", "unless", "unlessEquals", "with")


class Handlebars:
    """The Handlebars grammar."""

    whole_line_comments = True
    most_code = MOST_CODE

    def lex(self, text: str) -> Iterator[Token]:
        """Split a text into tokens. Raises BodyError."""
        place, line = 0, 1
        while place < len(text):
            end, kind = _next(text, place, line)
            source = text[place:end]
            raw = source.startswith("{{{{") or _COMMENT.match(source)
            content = source[2:-2].strip("~").strip() if kind in (TokenKind.TAG, TokenKind.CODE) and not raw else ""
            yield Token(kind, source, line, content)
            line += source.count("\n")
            place = end

    def check_tag(self, token: Token) -> None:
        """Refuse partials with a body, and helpers that are not there. Raises BodyError."""
        content = token.content
        if content.startswith(("#>", "#*", "^>")):
            raise BodyError(f"{token.source} is not supported", token.line, "put the text into a file: {{>name}}")
        name, _, arguments = content.lstrip("#^&").partition(" ")
        block = content.startswith(("#", "^"))
        known = _BLOCK_HELPERS if block else _HELPERS
        if content.startswith("/") or name in (*known, "else") or not arguments.strip():
            return
        raise BodyError(f"unknown helper {name!r}", token.line, did_you_mean(name, known))

    def compile(self, text: str) -> "HandlebarsText":
        """Compile a text without markers. Raises BodyError; UsageError without the engine."""
        required: set[str] = set()
        depth = 0
        parts: list[str] = []
        for token in self.lex(text):
            history = _HISTORY.search(_code_of(token))
            if history is not None and (depth == 0 or history[1].startswith(("@root", "../"))):
                raise refused_history(token.line)
            content = _expression(token)
            if content is None:
                parts.append(token.source)
                opens = token.kind is TokenKind.TAG and token.content.startswith(("#", "^")) and len(token.content) > 1
                depth += opens - (token.kind is TokenKind.TAG and token.content.startswith("/"))
                continue
            name = re.split(r"[./]", content)[0]
            if depth == 0 and _PATH.fullmatch(content) and _NAME.fullmatch(name) and name != "this":
                required.add(name)
            parts.append(_showing(token, content))
        try:
            return HandlebarsText(_engine().compile("".join(parts)), frozenset(required))
        except (ValueError, LookupError, RecursionError) as exc:  # the engine's own slips on odd tags among them
            raise BodyError(f"Handlebars refuses it: {exc}") from None


def _next(text: str, start: int, line: int) -> tuple[int, TokenKind]:
    """Return where the token that begins at `start` ends, and its kind."""
    if text.startswith("{{", start):
        return _tag_end(text, start, line)
    place = start
    while (match := _TAG_START.search(text, place)) is not None:
        if match.end(1) - match.start(1) != 1:  # one backslash escapes; of more, all but one stand
            return match.end(1), TokenKind.TEXT
        place = match.end()
    return len(text), TokenKind.TEXT


def _tag_end(text: str, start: int, line: int) -> tuple[int, TokenKind]:
    if text.startswith("{{{{", start):
        header = text[start + 4 : text.find("}}}}", start + 4)].split()
        close = f"{{{{{{{{/{header[0]}}}}}}}}}" if header else "}}}}"
        return _close(text, start + 4, close, line), TokenKind.CODE
    if _COMMENT.match(text, start):
        after = _comment_end(text, start, line)
        # With ~ it takes the blanks beside it along, which only the engine does.
        trims = text.startswith("{{~", start) or text.startswith("~}}", after - 3)
        return after, TokenKind.CODE if trims else TokenKind.COMMENT
    triple = re.match(r"\{\{~?\{", text[start : start + 4])
    if triple is not None:
        end = re.compile(r"\}~?\}\}").search(text, start + len(triple[0]))
        if end is None:
            raise BodyError("{{{ without }}}", line)
        return end.end(), TokenKind.CODE
    return _close(text, start + 2, "}}", line), TokenKind.TAG


def _comment_end(text: str, start: int, line: int) -> int:
    long = re.compile(r"\{\{~?!--").match(text, start)
    if long is None:
        return _close(text, start + 2, "}}", line)
    end = re.compile(r"--~?\}\}").search(text, long.end())
    if end is None:
        raise BodyError("{{!-- without --}}", line)
    return end.end()


def _close(text: str, start: int, close: str, line: int) -> int:
    end = text.find(close, start)
    if end < 0:
        raise BodyError(f"a tag is not closed by {close}", line, "a literal {{ is written \\{{")
    return end + len(close)


def _expression(token: Token) -> str | None:
    """Return what a token prints; None for one that prints nothing itself."""
    if token.kind is TokenKind.CODE and not token.source.startswith("{{{{") and not _COMMENT.match(token.source):
        return token.source.strip("{}~").strip()
    if token.kind is not TokenKind.TAG or token.content.startswith(("#", "^", "/", ">")):
        return None
    if token.content.split(" ")[0] == "else" or not token.content:
        return None
    return token.content.removeprefix("&").strip()


def _code_of(token: Token) -> str:
    """Return the part of a token that names inputs, without text, comments and quotes."""
    if token.kind is TokenKind.TEXT or _COMMENT.match(token.source) or token.source.startswith("{{{{"):
        return ""
    return _QUOTED.sub("", token.source)


def _showing(token: Token, content: str) -> str:
    left = "{{~" if token.source.startswith("{{~") else "{{"
    right = "~}}" if token.source.endswith("~}}") or token.source.endswith("}~}}") else "}}"
    if _PATH.fullmatch(content):
        return f'{left}{_SHOW} {content} "{content}"{right}'
    said = content.replace('"', "'")
    return f'{left}{_SHOW} ({content}) "{said}"{right}'


class HandlebarsText(Value):
    """A compiled text."""

    program: "Callable[..., str]"
    required: frozenset[str]

    def render(self, inputs: Mapping[str, JsonValue]) -> str:
        """Fill the slots. Raises MissingInput, RenderError."""
        from dotpromptz_handlebars import StrictModeError

        try:
            return self.program(dict(inputs))
        except StrictModeError as exc:
            raise MissingInput(exc.path) from None
        except (ValueError, TypeError, LookupError, RecursionError) as exc:
            raise RenderError(str(exc)) from None


@cache
def _engine() -> "Engine":
    try:
        from dotpromptz_handlebars import Handlebars as Engine
    except ImportError:
        raise UsageError(
            "a prompt is written in Handlebars, whose engine is not installed", hint="pip install 'evalh[handlebars]'"
        ) from None
    engine = Engine(escape_fn="no_escape", strict=True)
    engine.unregister_helper("log")  # it prints
    engine.register_helper(_SHOW, _show)
    engine.register_helper("json", lambda values, _: text_of(_first(values)))
    engine.register_helper("ifEquals", lambda values, o: o.fn() if _equal(values) else o.inverse())
    engine.register_helper("unlessEquals", lambda values, o: o.inverse() if _equal(values) else o.fn())
    return engine


def _first(values: list[Any]) -> JsonValue:
    if not values:
        raise ValueError("a helper lacks its argument")
    return values[0]


def _equal(values: list[Any]) -> bool:
    return bool(len(values) > 1 and values[0] == values[1])


def _show(values: list[Any], options: "HelperOptions") -> str:
    value, name = values
    if value is not None or name in ("this", "."):
        return text_of(value)
    # The engine hands over None for null and for what is not there.
    place = options.context
    for key in name.removeprefix("this.").split("."):
        if not isinstance(place, Mapping) or key not in place:
            raise MissingInput(name)
        place = place[key]
    return text_of(None)
