"""Nunjucks templates, as promptfoo renders them: filled while importing, or written in evalh's own dialects.

Most templates hold nothing but `{{name}}`. Others are written as Jinja2 where every part has a meaning there; the rest
is refused by name.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.workspace.prompt.bodies import BodyError, MissingInput, RenderError, Token, TokenKind
from evalh.workspace.prompt.dialect_jinja2 import Jinja2
from evalh.workspace.prompt.dialect_portable import slot_path

_OPENS = re.compile(r"\{[{%#]")
_CLOSES = {"{{": "}}", "{%": "%}", "{#": "#}"}
_RAW = re.compile(r"\{%-?\s*raw\s*-?%\}(?P<raw>.*?)\{%-?\s*endraw\s*-?%\}", re.DOTALL)
_ENDRAW = re.compile(r"\{%-?\s*endraw\s*-?%\}")
_SLOT = re.compile(r"\s*(?P<path>[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*)\s*")
_WORD = re.compile(r"[A-Za-z_]\w*")
_SPECIAL = frozenset(
    {"true", "false", "none", "null", "undefined", "loop", "and", "or", "not", "in", "is", "if", "else"}
)
_TOKEN = re.compile(
    r"(?P<text>\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')|(?P<regex>r/)|(?P<filter>\|\s*\w+)|(?P<member>\.\s*\w+(?:\s*\()?)"
    r"|(?P<name>[A-Za-z_$][\w$]*)|(?P<op>===|!==|==|!=|<=|>=|\*\*|//|\?)|(?P<other>.)",
    re.DOTALL,
)
_WITH_DEFAULT = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\s*\|\s*(?:default|d)\b")
_FILTERS = frozenset({"abs", "capitalize", "default", "d", "first", "float", "int", "join", "last", "length", "lower"})
_FILTERS |= {"replace", "sum", "title", "trim", "upper", "string", "list", "unique", "safe", "dump"}
_MEMBERS = {"length": "| length"}
_CALLS = {"toUpperCase(": "| upper", "toLowerCase(": "| lower", "trim(": "| trim"}
_CODE = frozenset({"if", "elif", "elseif", "else", "endif", "for", "endfor", "set"})
_LARGEST_WHOLE = 1e21


class NotRenderedError(Exception):
    """A template has a part that evalh cannot read as Nunjucks does; the text names it."""


class _Tag(NamedTuple):
    """A tag of a template, from its first brace to its last."""

    start: int
    end: int
    kind: str  # {{, {% or {#
    source: str

    @property
    def code(self) -> str:
        """What stands between the braces."""
        return self.source[2:-2].removeprefix("-").removesuffix("-")


class TemplateText(Value, kw_only=True):
    """A template in a dialect of evalh's."""

    text: str
    jinja2: bool
    printed: frozenset[str]  # variables of which a slot prints the whole
    paths: frozenset[str]  # slots that print a field: `user.name`
    used: frozenset[str]  # all variables
    guarded: frozenset[str] = frozenset()  # those that have a default wherever they stand
    near: tuple[str, ...] = ()  # in what it differs


def js_text(value: JsonValue) -> str:
    """Return a value as JavaScript writes it into a text, null as Nunjucks does: nothing."""
    match value:
        case None | bool():
            return {None: "", True: "true", False: "false"}[value]
        case str():
            return value
        case int() | float():
            whole = float(value).is_integer() and abs(value) < _LARGEST_WHOLE
            return str(int(value)) if whole else _exponent(repr(float(value)))
        case list():
            return ",".join(map(js_text, value))
        case _:
            return "[object Object]"


def _exponent(text: str) -> str:
    """Write Python's `1e-07` as JavaScript does: `1e-7`."""
    return re.sub(r"e([+-])0*(\d)", r"e\1\2", text)


def is_left_alone(template: str) -> bool:
    """Whether promptfoo takes a template for text as it stands: one of its tags does not end on its line."""
    if any(raw for raw, _ in _pieces(template)):
        return False
    for line in template.split("\n"):
        for opens, ends in (("{{", "}"), ("{%", "%"), ("{#", "#")):
            place = line.rfind(opens)
            if place >= 0 and ends not in line[place + 2 :]:
                return True
    return False


def input_name(name: str) -> str:
    """Return what a variable is called as an input: a name that means something to template languages gets a `_`."""
    return name if _WORD.fullmatch(name) is None or _portable(name) else f"{name}_"


def _portable(path: str) -> bool:
    try:
        slot_path(Token(TokenKind.TAG, path, 1, path))
    except BodyError:
        return False
    return True


def render(template: str, values: Mapping[str, JsonValue]) -> str:
    """Fill a template while importing. Raises NotRenderedError where that needs Nunjucks itself."""
    if "{{" not in template and "{%" not in template and "{#" not in template:
        return template
    found = translated(template)
    if not found.jinja2:
        return _filled(template, values)
    try:
        inputs = {
            input_name(name): values.get(name, "") for name in found.used if name in values or name not in found.guarded
        }
        return Jinja2().compile(found.text).render(inputs)
    except (BodyError, MissingInput, RenderError) as exc:
        raise NotRenderedError(f"Jinja2 cannot fill it: {exc}") from None


def _filled(template: str, values: Mapping[str, JsonValue]) -> str:
    parts: list[str] = []
    for raw, text in _pieces(template):
        end = 0
        for tag in () if raw else _tags(text):
            parts.append(text[end : tag.start])
            end = tag.end
            if tag.kind == "{{":
                parts.append(js_text(_value_at(values, tag.code.strip())))
        parts.append(text[end:])
    return "".join(parts)


def _tags(text: str) -> Iterator[_Tag]:
    """Yield the tags of a text, in linear time: what is not closed once is not looked for again."""
    unclosed: set[str] = set()
    place = 0
    while (opens := _OPENS.search(text, place)) is not None:
        kind, start = opens[0], opens.start()
        end = -1 if kind in unclosed else text.find(_CLOSES[kind], start + 2)
        if end < 0:
            unclosed.add(kind)
            place = start + 2
            continue
        place = end + 2
        yield _Tag(start, place, kind, text[start:place])


def _value_at(values: JsonValue, path: str) -> JsonValue:
    for key in path.split("."):
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _pieces(template: str) -> list[tuple[bool, str]]:
    """Cut a template at its `{% raw %}` blocks; True: such a block."""
    found: list[tuple[bool, str]] = []
    end = 0
    last = max((one.end() for one in _ENDRAW.finditer(template)), default=0)  # no block ends behind it
    for block in _RAW.finditer(template, 0, last):
        found += [(False, template[end : block.start()]), (True, block["raw"])]
        end = block.end()
    return [*found, (False, template[end:])]


def translated(template: str, *, jinja2: bool = False) -> TemplateText:
    """Write a template in evalh's own dialect, or in Jinja2 if it needs or is to have that. Raises NotRenderedError."""
    pieces = [(True, template)] if is_left_alone(template) else _pieces(template)
    logic = jinja2 or any(not raw and _has_logic(text) for raw, text in pieces)
    return _Translation(logic).of(pieces)


def _has_logic(text: str) -> bool:
    return any(tag.kind == "{%" or (tag.kind == "{{" and _needs_logic(tag)) for tag in _tags(text))


def _needs_logic(tag: _Tag) -> bool:
    return tag.source[2] == "-" or tag.source[-3] == "-" or not _is_slot(tag.code)


def _is_slot(code: str) -> bool:
    found = _SLOT.fullmatch(code)
    if found is None or "$" in found["path"]:
        return False
    name, *fields = found["path"].split(".")
    return name not in _SPECIAL and not _MEMBERS.keys() & set(fields)


def _literal(text: str) -> str:
    """Write a text so that the portable dialect takes it for itself."""
    return re.sub(r"(\\*)(?=\{[{%#])", lambda found: found[1] * 2 + "\\", text)


class _Translation:
    """One template; `logic`: it needs Jinja2."""

    def __init__(self, logic: bool) -> None:  # noqa: FBT001 (named where it is called)
        self._logic = logic
        self._printed: set[str] = set()
        self._paths: set[str] = set()
        self._used: set[str] = set()
        self._times: Counter[str] = Counter()  # how often a variable is named
        self._guarded: Counter[str] = Counter()  # how often with a default
        self._own: set[str] = set()  # that the template sets itself
        self._near: list[str] = []

    def of(self, pieces: list[tuple[bool, str]]) -> TemplateText:
        """Translate the pieces of a template."""
        text = "".join(self._plain(part) if raw else self._piece(part) for raw, part in pieces)
        if self._logic:
            self._near.append("Jinja2 fills it in place of Nunjucks, where empty lists and objects are true")
        return TemplateText(
            text=text,
            jinja2=self._logic,
            printed=frozenset(self._printed),
            paths=frozenset(self._paths),
            used=frozenset(self._used - self._own),
            guarded=frozenset(name for name, times in self._guarded.items() if times == self._times[name]),
            near=tuple(dict.fromkeys(self._near)),
        )

    def _plain(self, text: str) -> str:
        if not self._logic:
            return _literal(text)
        return f"{{% raw %}}{text}{{% endraw %}}" if any(one in text for one in ("{{", "{%", "{#")) else text

    def _piece(self, text: str) -> str:
        parts: list[str] = []
        end = 0
        for tag in _tags(text):
            parts.append(self._plain(text[end : tag.start]))
            end = tag.end
            if tag.kind == "{{":
                parts.append(self._print(tag.code, tag.source))
            elif tag.kind == "{%":
                parts.append(self._code(tag.code, tag.source))
        return "".join((*parts, self._plain(text[end:])))

    def _print(self, code: str, whole: str) -> str:
        opens, closes = ("{{-" if whole[2] == "-" else "{{"), ("-}}" if whole[-3] == "-" else "}}")
        if not _is_slot(code):
            return f"{opens} {self._expression(code)} {closes}"
        name, dot, fields = code.strip().partition(".")
        if name == "env":
            raise NotRenderedError(f"{{{{ {code.strip()} }}}} is an environment variable")
        self._used.add(name)
        self._times[name] += 1
        path = f"{input_name(name)}{dot}{fields}"
        if dot and not _portable(path):
            raise NotRenderedError(f"a field in {{{{ {code.strip()} }}}} is a method to Jinja2")
        (self._paths if dot else self._printed).add(code.strip())
        return f"{opens}{path}{closes}"

    def _code(self, code: str, whole: str) -> str:
        words = code.split(None, 1)
        if not words or words[0] not in _CODE:
            raise NotRenderedError(f"{{% {' '.join(words)[:40]} %}}")
        word = "elif" if words[0] == "elseif" else words[0]
        rest = words[1] if len(words) > 1 else ""
        if word in ("for", "set"):
            head, joint, rest = rest.partition(" in " if word == "for" else "=")
            names = [name.strip() for name in head.split(",")]
            if not joint or not all(re.fullmatch(r"[A-Za-z_]\w*", name) for name in names):
                raise NotRenderedError(f"{{% {word} {head[:40]} %}}")
            self._own.update(names)  # names of its own
            source = self._expression(rest)
            if len(names) > 1:
                source = f"({source}) | dictsort"
                self._near.append("an object's keys come in alphabetical order")
            rest = f"{', '.join(names)}{joint}{source}"
        elif rest:
            rest = self._expression(rest)
        opens, closes = ("{%-" if whole[2] == "-" else "{%"), ("-%}" if whole[-3] == "-" else "%}")
        return f"{opens} {word} {rest.strip()} {closes}" if rest else f"{opens} {word} {closes}"

    def _expression(self, code: str) -> str:
        """Write an expression as Jinja2 reads it. Raises NotRenderedError."""
        parts: list[str] = []
        self._guarded.update(_WITH_DEFAULT.findall(code))
        skip = ""
        for token in _TOKEN.finditer(code):
            if skip and token[0].strip() == skip:
                skip = ""
                continue
            part = self._part(token)
            skip = ")" if token["member"] and token["member"].endswith("(") else skip
            parts.append(part)
        return " ".join("".join(parts).split())

    def _part(self, token: "re.Match[str]") -> str:
        found = token[0]
        if token["regex"] or token["op"] == "?":
            raise NotRenderedError(f"{found} in an expression")
        if token["text"]:
            return json.dumps(found[1:-1].replace("\\'", "'").replace('\\"', '"'), ensure_ascii=False)
        if token["filter"]:
            name = found.lstrip("| \t\n")
            if name not in _FILTERS:
                raise NotRenderedError(f"the filter {name}")
            return {"dump": "| tojson", "safe": ""}.get(name, f"| {name}")
        if token["member"]:
            name = "".join(found[1:].split())
            if name.endswith("("):
                if name not in _CALLS:
                    raise NotRenderedError(f"the method {name})")
                return f" {_CALLS[name]}"
            return f" {_MEMBERS[name]}" if name in _MEMBERS else f".{name}"
        if token["name"]:
            return self._name(found)
        return {"===": "==", "!==": "!="}.get(found, found)

    def _name(self, name: str) -> str:
        words = {"null": "none", "undefined": "none", "true": "true", "false": "false"}
        if name in words:
            return words[name]
        if name == "env":
            raise NotRenderedError("an environment variable")
        if name in _SPECIAL:
            return name
        self._used.add(name)
        self._times[name] += 1
        return input_name(name)
