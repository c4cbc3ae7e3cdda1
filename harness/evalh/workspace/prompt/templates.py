"""From a prompt version and a case's inputs to messages. Compiled once, rendered per case.

The messages and their roles come from the version's sections alone; a slot's value is only ever text inside one.
"""

from collections.abc import Collection, Mapping
from typing import TypeAlias, assert_never

from msgspec.structs import replace

from evalh.core.errors import WorkspaceError, nearest
from evalh.core.prompt import Dialect, PromptVersion, Section
from evalh.core.request import Media, Message, Part, Role, Text
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.workspace.prompt.bodies import BodyError, Grammar, MediaSlot, MissingInput, Program, RenderError, pieces
from evalh.workspace.prompt.conversation import INPUT, read_history
from evalh.workspace.prompt.dialect_portable import Portable, Slots, value_at
from evalh.workspace.prompt.media import LoadMedia, read_media

Piece: TypeAlias = Program | MediaSlot


def grammar_of(dialect: Dialect) -> Grammar:
    """Return how a dialect is read. What it needs is imported when it is first used."""
    match dialect:
        case Dialect.PORTABLE:
            return Portable()
        case Dialect.JINJA2:
            from evalh.workspace.prompt.dialect_jinja2 import Jinja2

            return Jinja2()
        case Dialect.HANDLEBARS:
            from evalh.workspace.prompt.dialect_handlebars import Handlebars

            return Handlebars()
        case other:
            assert_never(other)


def check_inputs(version: PromptVersion, names: Collection[str]) -> list[str]:
    """Return the variables that the body uses and neither these names nor `input.default` supply, sorted."""
    return sorted(version.variables - version.input_defaults.keys() - set(names))


def required_inputs(sections: Collection[Section], grammar: Grammar) -> frozenset[str]:
    """Return the inputs that the sections use. Raises BodyError."""
    if all(section.role is None for section in sections):
        return frozenset({INPUT})  # a body that is the history alone
    return frozenset().union(*(_required(piece) for section in sections for piece in _compiled(section, grammar)))


def compile_version(version: PromptVersion, *, media: LoadMedia | None = None) -> "CompiledVersion":
    """Compile a version; `media` reads the files that a case names. Raises WorkspaceError, UsageError."""
    grammar = grammar_of(version.dialect)
    file = version.path if version.revision is None else f"{version.revision}:{version.path}"
    sections: list[CompiledSection] = []
    history_at: int | None = None
    for section in version.sections:
        if section.role is None:
            history_at = len(sections)
            continue
        where = f"{file}:{section.line}"
        try:
            parts = _compiled(section, grammar)
        except BodyError as exc:
            raise WorkspaceError(exc.what, where=where, hint=exc.hint) from None
        sections.append(CompiledSection(Role(section.role), parts, where))
    if history_at is None:
        users = [index for index, section in enumerate(sections) if section.role is Role.USER]
        history_at = users[-1] if users else len(sections)
    return CompiledVersion(tuple(sections), history_at, file, version.input_defaults, media)


def _compiled(section: Section, grammar: Grammar) -> tuple[Piece, ...]:
    return tuple(
        piece if isinstance(piece, MediaSlot) else grammar.compile(piece.source) for piece in pieces(section, grammar)
    )


def _required(piece: Piece) -> frozenset[str]:
    return frozenset(piece.slot[:1]) if isinstance(piece, MediaSlot) else piece.required


class CompiledSection(Value):
    """One message to be."""

    role: Role
    pieces: tuple[Piece, ...]
    where: str  # file:line

    def render(self, inputs: Mapping[str, JsonValue], load: LoadMedia | None) -> Message:
        """Fill the slots. Raises WorkspaceError."""
        try:
            parts = [self._part(piece, inputs, load) for piece in self.pieces]
        except MissingInput as exc:
            raise self._missing(str(exc), inputs) from None
        except RenderError as exc:
            raise WorkspaceError(f"the template cannot be filled: {exc}", where=self.where) from None
        if len(parts) > 1:  # an empty text beside an image says nothing, and some providers refuse it
            parts = [part for part in parts if part != Text("")]
        return Message(self.role, tuple(parts))

    def _part(self, piece: Piece, inputs: Mapping[str, JsonValue], load: LoadMedia | None) -> Part:
        if not isinstance(piece, MediaSlot):
            return Text(piece.render(inputs))
        value = value_at(inputs, piece.slot)
        try:
            media: Media = read_media(value, piece.content_type, load)
        except WorkspaceError as exc:
            said = f"{'.'.join(piece.slot)}: {exc.where + ': ' if exc.where else ''}{exc.what}"
            raise WorkspaceError(said, where=self.where, hint=exc.hint) from None
        return media

    def _missing(self, name: str, inputs: Mapping[str, JsonValue]) -> WorkspaceError:
        guess = nearest(name, inputs)
        have = f"did you mean {guess!r}?" if guess else f"the case gives: {', '.join(sorted(inputs)) or 'nothing'}."
        hint = f"{have} Or set input.default in the front matter"
        return WorkspaceError(f"variable {name!r} has no value", where=self.where, hint=hint)


class CompiledVersion(Value):
    """A version, ready for cases: `core.ports.Template`."""

    sections: tuple[CompiledSection, ...]
    history_at: int
    where: str  # the file
    defaults: Mapping[str, JsonValue]
    load: LoadMedia | None

    @property
    def variables(self) -> frozenset[str]:
        """The inputs without which rendering fails, those with a default among them."""
        if not self.sections:
            return frozenset({INPUT})
        return frozenset().union(*(_required(piece) for section in self.sections for piece in section.pieces))

    def media(self, inputs: Mapping[str, JsonValue], load: LoadMedia | None) -> tuple[str, ...]:
        """Return the digests of the media that a case shows, where `load` reads files. Raises WorkspaceError."""
        if INPUT not in inputs and not any(
            isinstance(piece, MediaSlot) for one in self.sections for piece in one.pieces
        ):
            return ()
        messages = replace(self, load=load).render(inputs)
        return tuple(part.sha256 for message in messages for part in message.parts if isinstance(part, Media))

    @property
    def plain_inputs(self) -> frozenset[str] | None:
        """The inputs that are all it takes where each is text; None: only rendering tells.

        Portable slots of one name each cannot fail then; whole paths, media, defaults and logic are rendered to know.
        """
        pieces = [piece for section in self.sections for piece in section.pieces]
        if self.defaults or not pieces or not all(isinstance(piece, Slots) and piece.flat for piece in pieces):
            return None
        return self.variables

    def render(self, inputs: Mapping[str, JsonValue]) -> tuple[Message, ...]:
        """Fill the slots. Raises WorkspaceError naming the variable that is missing."""
        filled = {**self.defaults, **inputs} if self.defaults else inputs
        messages = [section.render(filled, self.load) for section in self.sections]
        if INPUT in filled:
            messages[self.history_at : self.history_at] = read_history(filled[INPUT], self.load)
        if not messages:
            raise WorkspaceError(
                f"there is nothing to send: the body is the history alone, and inputs.{INPUT} is empty",
                where=self.where,
            )
        return tuple(messages)
