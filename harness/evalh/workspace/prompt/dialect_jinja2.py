"""Jinja2, opted into: always sandboxed, strict about what is missing, with nothing to load from."""

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from evalh.core.errors import did_you_mean
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.workspace.prompt.bodies import MOST_CODE, BodyError, MissingInput, RenderError, Token, TokenKind
from evalh.workspace.prompt.dialect_portable import HISTORY, Slots, refused_history

if TYPE_CHECKING:
    from jinja2 import Template, nodes

    from evalh.workspace.prompt.jinja2_sandbox import Sandbox

_ENDS = {"variable_begin": "variable_end", "block_begin": "block_end", "raw_begin": "raw_end"}
_ENDS |= {"comment_begin": "comment_end"}
_KINDS = {"variable_begin": TokenKind.TAG, "comment_begin": TokenKind.COMMENT}


class Jinja2:
    """The Jinja2 grammar."""

    whole_line_comments = False
    most_code = MOST_CODE

    def lex(self, text: str) -> Iterator[Token]:
        """Split a text into tokens. Raises BodyError."""
        from jinja2 import TemplateSyntaxError

        try:
            yield from _grouped(_sandbox().lex(text))
        except TemplateSyntaxError as exc:
            raise BodyError(f"Jinja2 refuses it: {exc.message}", exc.lineno) from None

    def check_tag(self, token: Token) -> None:
        """Accept: Jinja2 itself checks expressions."""

    def compile(self, text: str) -> "JinjaText | Slots":
        """Compile a text without markers. Raises BodyError."""
        if not any(opens in text for opens in ("{{", "{%", "{#")):
            return Slots((text,))  # a millisecond of Jinja2's for each message of a long example
        return _compiled(text)


@lru_cache(maxsize=32)  # a version is checked, asked for its inputs and filled: one compilation
def _compiled(text: str) -> "JinjaText":
    from jinja2 import Template, TemplateSyntaxError

    from evalh.workspace.prompt.jinja2_sandbox import paying

    sandbox = _sandbox()
    try:
        tree = sandbox.parse(text)
        _refuse(tree)
        used = _undeclared(tree) - sandbox.globals.keys()
        if HISTORY in used:
            raise refused_history(_line_of(tree, HISTORY))
        required = frozenset(used - _guarded(tree))
        code = sandbox.compile(paying(tree))
    except TemplateSyntaxError as exc:
        known = sandbox.filters if "filter" in (exc.message or "") else ()
        name = (exc.message or "").split("'")[1] if known and "'" in (exc.message or "") else ""
        hint = did_you_mean(name, (word for word in known if " " not in word)) if name else None
        raise BodyError(f"Jinja2 refuses it: {exc.message}", exc.lineno, hint) from None
    except (RecursionError, SyntaxError):  # Python allows 20 loops inside each other
        raise BodyError("Jinja2 refuses it: nested too deeply") from None
    except ValueError as exc:  # a number of thousands of digits
        raise BodyError(f"Jinja2 refuses it: {exc}") from None
    return JinjaText(Template.from_code(sandbox, code, dict(sandbox.globals)), required)


@cache
def _sandbox() -> "Sandbox":
    from evalh.workspace.prompt.jinja2_sandbox import Sandbox

    return Sandbox()


def _grouped(lexed: Iterator[tuple[int, str, str]]) -> Iterator[Token]:
    """Join Jinja2's small tokens to whole tags, statements, comments and raw texts."""
    for line, kind, value in lexed:
        if kind not in _ENDS:
            yield Token(TokenKind.TEXT, value, line)
            continue
        inside: list[str] = []
        end = ""
        for _, inner, text in lexed:
            if inner == _ENDS[kind]:
                end = text
                break
            inside.append(text)
        content = "".join(inside)
        code = "" if kind == "raw_begin" else content.strip()
        yield Token(_KINDS.get(kind, TokenKind.CODE), value + content + end, line, code)


def _refuse(tree: "nodes.Template") -> None:
    """Refuse what would load another file or reach inside Python. Raises BodyError."""
    from jinja2 import nodes

    loading = next(
        tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block)),
        None,
    )
    if loading is not None:
        raise BodyError("a prompt loads no other template", loading.lineno, "put the text into a file: {{>name}}")
    for node in tree.find_all(nodes.Getattr):
        if node.attr.startswith("_"):
            raise BodyError(f"a template cannot use {node.attr!r}", node.lineno)


def _undeclared(tree: "nodes.Template") -> set[str]:
    """Return the names that a template uses and does not set, without folding constants as Jinja2's own finder does."""
    from jinja2.meta import TrackingCodeGenerator

    generator = TrackingCodeGenerator(_sandbox())
    generator.optimizer = None
    generator.visit(tree)
    return generator.undeclared_identifiers


def _line_of(tree: "nodes.Template", name: str) -> int:
    from jinja2 import nodes

    return next(node.lineno for node in tree.find_all(nodes.Name) if node.name == name)


def _guarded(tree: "nodes.Template") -> set[str]:
    """Return the inputs that may be absent: the template asks whether they are defined, or has a default."""
    from jinja2 import nodes

    asked: list[nodes.Expr] = [t.node for t in tree.find_all(nodes.Test) if t.name in ("defined", "undefined")]
    asked += [f.node for f in tree.find_all(nodes.Filter) if f.name in ("d", "default") and f.node is not None]
    return {node.name for node in asked if isinstance(node, nodes.Name)}


class JinjaText(Value):
    """A compiled text."""

    template: "Template"
    required: frozenset[str]

    def render(self, inputs: Mapping[str, JsonValue]) -> str:
        """Fill the slots. Raises MissingInput, RenderError."""
        from evalh.workspace.prompt.jinja2_sandbox import PURSE, RenderBudget

        purse = RenderBudget()
        try:
            context = self.template.new_context({**inputs, PURSE: purse})
            parts: list[str] = []
            for part in self.template.root_render_func(context):
                purse.text(len(part))
                parts.append(part)
        except (MissingInput, RenderError):
            raise
        except Exception as exc:  # noqa: BLE001 (a template may divide by zero, recurse, or sort what has no order)
            raise RenderError(f"{exc}" or type(exc).__name__) from None
        return "".join(parts)
