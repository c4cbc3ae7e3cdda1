"""A prompt's body: partials inlined, comments dropped, split into messages at its role markers.

All of that happens on the author's text, before any slot is filled: what a case holds can never add a message.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import pairwise
from typing import Protocol

from msgspec.structs import replace

from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.prompt import Section
from evalh.core.request import Role
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

BLANKS = " \t\r\n"
"""The white space that is trimmed at a section's two ends."""

_PARTIAL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_ROLE = re.compile(r"""role\s+(?:"([^"]*)"|'([^']*)')""")
_MEDIA = re.compile(r"""media\s+url=([A-Za-z_][\w.]*)(?:\s+contentType=(?:"([^"]*)"|'([^']*)'))?""")
_MAX_PARTIALS = 1_000
MOST_CODE = 20_000
"""Characters of a prompt that may stand in tags where Jinja2 or Handlebars compiles them: up to 30 µs for each."""
_ROLES = {
    "system": Role.SYSTEM,
    "user": Role.USER,
    "model": Role.ASSISTANT,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
}


class TokenKind(Enum):
    """What a token of a body is."""

    TEXT = "text"
    TAG = "tag"  # {{…}}
    COMMENT = "comment"
    CODE = "code"  # whatever else the dialect has: blocks, raw text


class Token(Value):
    """A piece of a body; the sources of all tokens, joined, are the body."""

    kind: TokenKind
    source: str
    line: int  # from 1, in `path`
    content: str = ""  # what stands between its braces, if it is a tag or code to compile
    path: str = ""
    start: int = 0  # characters before it, in `path`
    anchor: int = 0  # the line in the prompt's own file: where a partial was named


class MediaSlot(Value):
    """`{{media url=photo}}`: the place of an image or a file."""

    slot: tuple[str, ...]  # ("photo",)
    content_type: str | None


class BodyError(Exception):
    """A dialect refuses a text; `line` counts from 1 in the text that it was given."""

    def __init__(self, what: str, line: int = 1, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.line = line
        self.hint = hint


class Program(Protocol):
    """A compiled text."""

    @property
    def required(self) -> frozenset[str]:
        """The inputs without which rendering fails."""

    def render(self, inputs: Mapping[str, JsonValue]) -> str:
        """Fill the slots. Raises MissingInput, RenderError."""


class MissingInput(Exception):
    """The template uses an input that is not there."""


class RenderError(Exception):
    """The template cannot be rendered with these inputs."""


class Grammar(Protocol):
    """How one dialect reads its texts."""

    @property
    def whole_line_comments(self) -> bool:
        """Whether a comment alone on its line takes the line with it."""

    @property
    def most_code(self) -> int | None:
        """How many characters may stand in tags; None: any number."""

    def lex(self, text: str) -> Iterable[Token]:
        """Split a text into tokens. Raises BodyError."""

    def check_tag(self, token: Token) -> None:
        """Refuse a tag that is not a marker and has no meaning here. Raises BodyError."""

    def compile(self, text: str) -> Program:
        """Compile a text without markers. Raises BodyError."""


FindPartial = Callable[[str], tuple[str, str]]
"""Returns the path and text of a partial. Raises WorkspaceError that names what there is."""


class BodyParser(Value):
    """Reads bodies in one dialect."""

    grammar: Grammar
    find_partial: FindPartial

    def read(self, text: str, path: str, first_line: int = 1) -> tuple[Section, ...]:
        """Return a body's messages. Raises WorkspaceError with file:line."""
        tokens = self.tokens(text, path, first_line)
        sections = _split(tokens, path, first_line)
        for token in tokens:
            self._check(token)
        for section in sections:
            for piece in pieces(section, self.grammar):
                if isinstance(piece, BodyText):
                    self._compile(piece, section, path, tokens)
        return sections

    def tokens(self, text: str, path: str, first_line: int = 1) -> list[Token]:
        """Return a body's tokens, partials inlined and comments dropped. Raises WorkspaceError."""
        inlined = list(self._inlined(self._uncommented(self._lexed(text, path, first_line)), (), [0]))
        _refuse_new_tags(inlined)
        if self.grammar.most_code is not None:
            _refuse_much_code(inlined, self.grammar.most_code)
        return inlined

    def _check(self, token: Token) -> None:
        if token.kind is TokenKind.TAG and _marker(token) is None:
            try:
                self.grammar.check_tag(token)
            except BodyError as exc:
                raise _wrong(token, exc.what, exc.hint) from None

    def _compile(self, piece: "BodyText", section: Section, path: str, tokens: Sequence[Token]) -> None:
        try:
            self.grammar.compile(piece.source)
        except BodyError as exc:
            where = f"{path}:{section.line + piece.line + exc.line - 2}"
            if self._compiles("".join(token.source for token in tokens if _marker(token) is None)):
                raise WorkspaceError(
                    "a role, history or media marker is inside a block",
                    where=where,
                    hint="markers are read before the template is filled; close the block before the marker",
                ) from None
            raise WorkspaceError(exc.what, where=where, hint=exc.hint) from None

    def _compiles(self, text: str) -> bool:
        try:
            self.grammar.compile(text)
        except BodyError:
            return False
        return True

    def inline(self, text: str, path: str, first_line: int = 1) -> str:
        """Return the body with the partials' texts in place of their tags, all else as it is. Raises WorkspaceError."""
        tokens = self._lexed(text, path, first_line)
        return "".join(part.source for token in tokens for part in self._inlined([token], (), [0]))

    def _lexed(self, text: str, path: str, first_line: int) -> list[Token]:
        shift = first_line - 1
        tokens: list[Token] = []
        start = 0
        try:
            for token in self.grammar.lex(text):
                line = token.line + shift
                tokens.append(replace(token, path=path, line=line, anchor=line, start=start))
                start += len(token.source)
        except BodyError as exc:
            raise WorkspaceError(exc.what, where=f"{path}:{exc.line + shift}", hint=exc.hint) from None
        return tokens

    def _uncommented(self, tokens: list[Token]) -> list[Token]:
        if self.grammar.whole_line_comments:
            return _without_comment_lines(tokens)
        return [token for token in tokens if token.kind is not TokenKind.COMMENT]

    def _inlined(self, tokens: Iterable[Token], stack: tuple[str, ...], count: list[int]) -> Iterator[Token]:
        for token in tokens:
            if token.kind is not TokenKind.TAG or not token.content.startswith(">"):
                yield token
                continue
            name = token.content[1:].strip()
            where = f"{token.path}:{token.line}"
            if not _PARTIAL_NAME.fullmatch(name):
                raise WorkspaceError(
                    f"{token.source} is not a partial",
                    where=where,
                    hint="write {{>name}}; a partial takes no arguments",
                )
            if name in stack:
                chain = " → ".join((*stack[stack.index(name) :], name))
                raise WorkspaceError(f"partial {name!r} includes itself: {chain}", where=where)
            count[0] += 1
            if count[0] > _MAX_PARTIALS:
                raise WorkspaceError(f"more than {_MAX_PARTIALS} partials", where=where)
            inner = self._partial(name, where)
            for part in self._inlined(inner, (*stack, name), count):
                yield replace(part, anchor=token.anchor)

    def _partial(self, name: str, where: str) -> list[Token]:
        try:
            path, text = self.find_partial(name)
        except WorkspaceError as exc:
            raise WorkspaceError(exc.what, where=exc.where or where, hint=exc.hint) from None
        stripped = text.strip(BLANKS)
        return self._uncommented(self._lexed(stripped, path, 1 + text[: text.find(stripped)].count("\n")))


class BodyText(Value):
    """A stretch of a section between its media; `line` counts from 1 in the section's source."""

    source: str
    line: int


def pieces(section: Section, grammar: Grammar) -> list[BodyText | MediaSlot]:
    """Cut a section at its media; blanks alone between two of them are dropped. Raises BodyError, WorkspaceError."""
    found: list[BodyText | MediaSlot] = []
    source, line = "", 1
    for token in grammar.lex(section.source):
        slot = _media_slot(token)
        if slot is None:
            line = line if source else token.line
            source += token.source
            continue
        found += [BodyText(source, line)] if source.strip(BLANKS) else []
        found.append(slot)
        source = ""
    return [*found, BodyText(source, line)] if source.strip(BLANKS) else found


def _without_comment_lines(tokens: Sequence[Token]) -> list[Token]:
    """Drop the comments; one that stands alone on its line takes the line with it. Linear in the text."""
    kept: list[Token] = []
    at_start, in_comment_line = True, False
    for index, token in enumerate(tokens):
        if token.kind is TokenKind.COMMENT:
            if index and tokens[index - 1].kind is not TokenKind.COMMENT:
                at_start = _at_line_start(kept)
            in_comment_line = at_start and _at_line_end(tokens, index + 1)
            if in_comment_line and kept:
                kept[-1] = replace(kept[-1], source=kept[-1].source.rstrip(" \t"))
        elif in_comment_line:
            rest = token.source.partition("\n")[2]
            kept.append(replace(token, source=rest, line=token.line + 1, anchor=token.anchor + 1))
            in_comment_line = False
        else:
            kept.append(token)
    return [token for token in kept if token.source]


def _at_line_start(before: Sequence[Token]) -> bool:
    if not before:
        return True
    text, newline, blanks = before[-1].source.rpartition("\n")
    return (
        before[-1].kind is TokenKind.TEXT and not blanks.strip(" \t") and (bool(newline) or not (before[1:2] or text))
    )


def _at_line_end(tokens: Sequence[Token], place: int) -> bool:
    if place == len(tokens):
        return True
    if tokens[place].kind is not TokenKind.TEXT:
        return False
    blanks, newline, _ = tokens[place].source.partition("\n")
    return not blanks.strip(" \t") and (bool(newline) or place == len(tokens) - 1)


def _refuse_new_tags(tokens: Sequence[Token]) -> None:
    """Refuse a `{` that meets another only because a comment or a partial's end stood between them."""
    for left, right in pairwise(tokens):
        if left.path == right.path and left.start + len(left.source) == right.start:
            continue  # so the author wrote them
        if (
            left.kind is TokenKind.TEXT
            and left.source.endswith(("{", "\\"))
            and right.source.startswith(("{", "%", "#"))
        ):
            raise WorkspaceError(
                "text that ends with { or \\ is right before a tag",
                where=f"{left.path}:{left.line}",
                hint="put a space between them",
            )


def _refuse_much_code(tokens: Sequence[Token], most: int) -> None:
    """Refuse a prompt whose tags would take a compiler long. Its text may be as long as it likes."""
    left = most
    for token in tokens:
        compiled = token.kind in (TokenKind.TAG, TokenKind.CODE) and token.content and _marker(token) is None
        left -= len(token.source) if compiled else 0
        if left < 0:
            what = f"more than {most:,} characters of the prompt are inside tags"
            raise _wrong(token, what, "put what repeats in a loop over a list, or write plain text")


def _split(tokens: Sequence[Token], path: str, first_line: int) -> tuple[Section, ...]:
    """Cut the tokens into messages at their role and history markers. Raises WorkspaceError."""
    sections: list[Section] = []
    role: Role | None = Role.USER  # None: after the history, where a role must be named first
    section_tokens: list[Token] = []
    for token in tokens:
        found = _marker(token)
        if found is None or isinstance(found, MediaSlot):
            section_tokens.append(token)
            continue
        sections += _section(role, section_tokens)
        section_tokens = []
        if isinstance(found, Role):
            role = found
            continue
        role = None
        if any(section.role is None for section in sections):
            raise _wrong(token, "{{history}} is given twice")
        sections.append(Section(None, "", token.anchor))
    sections += _section(role, section_tokens)
    if not sections:
        raise WorkspaceError("the body is empty", where=f"{path}:{first_line}", hint="write the text for the model")
    return tuple(sections)


def _section(role: Role | None, tokens: Sequence[Token]) -> list[Section]:
    source = "".join(token.source for token in tokens)
    text = source.strip(BLANKS)
    if not text:
        return []
    first = next(token for token in tokens if token.source.strip(BLANKS))
    if role is None:
        raise _wrong(first, "text follows {{history}}", 'say whose it is: {{role "user"}}')
    indent = first.source[: len(first.source) - len(first.source.lstrip(BLANKS))]
    skipped = indent.count("\n") if first.anchor == first.line else 0
    return [Section(role.value, text, first.anchor + skipped)]


def _marker(token: Token) -> Role | MediaSlot | str | None:
    """Return what a marker stands for, "history" for history, None for what is none. Raises WorkspaceError."""
    if token.kind is not TokenKind.TAG:
        return None
    if token.content == "history":
        return "history"
    if (match := _ROLE.fullmatch(token.content)) is not None:
        name = match[1] or match[2] or ""
        if name not in _ROLES:
            raise _wrong(token, f"unknown role {name!r}", did_you_mean(name, _ROLES))
        return _ROLES[name]
    return _media_slot(token)


def _media_slot(token: Token) -> MediaSlot | None:
    """Return a media marker's slot; None for what is none. Raises WorkspaceError."""
    if token.kind is not TokenKind.TAG or not re.match(r"media\s", token.content):
        return None
    match = _MEDIA.fullmatch(token.content)
    if match is None:
        raise _wrong(
            token,
            f"{token.source} is not a media marker",
            'write {{media url=photo}} or {{media url=photo contentType="image/png"}}; photo is one of the inputs',
        )
    return MediaSlot(tuple(match[1].split(".")), match[2] or match[3])


def _wrong(token: Token, what: str, hint: str | None = None) -> WorkspaceError:
    return WorkspaceError(what, where=f"{token.path}:{token.line}", hint=hint)
