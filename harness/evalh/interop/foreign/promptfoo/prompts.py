"""The prompts of a promptfoo config: texts, files of them, and conversations written as JSON or YAML."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.core.values import Value
from evalh.interop.foreign.promptfoo.nodes import Node, is_code
from evalh.interop.foreign.promptfoo.nunjucks import NotRenderedError, TemplateText, translated
from evalh.interop.foreign.transfer import Fidelity, ProofSheet, Subject
from evalh.workspace.yaml import parse_yaml

_ENDINGS = (
    *(".cjs", ".cts", ".j2", ".js", ".json", ".jsonl", ".md", ".mjs", ".mts", ".py", ".ts", ".txt", ".yml", ".yaml"),
    *(".csv", ".sh", ".bash", ".rb", ".exe", ".bat", ".cmd", ".ps1", ".pl", ".go"),
)
_PROGRAMS = (".sh", ".bash", ".exe", ".bat", ".cmd", ".ps1", ".pl", ".rb", ".go")
_SERVICES = ("portkey://", "langfuse://", "helicone://")
_PROGRAM = "a prompt that is a program"
_PROGRAM_DO = "write it with evalh.template: jinja2, or wrap the application as an `http`, `command` or `python` model"
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "model": "assistant"}
_LATE = "promptfoo fills the template first and reads the messages after; here an input cannot add one"
_UNQUOTED = re.compile(
    r"\"(?:\\.|[^\"\\])*\"|\{\{\s*(?P<name>[\w.]+)\s*(?:\|\s*dump\s*)?(?:\|\s*safe\s*)?\}\}", re.DOTALL
)
_MARK = "\ue000"
_DUMPED = re.compile(f"{_MARK}(?P<name>[\\w.]+){_MARK}")
_LONGEST_NOTE = 200


class ForeignPrompt(Value, kw_only=True):
    """One prompt: its text as in the source, and what it is called."""

    text: str
    label: str
    where: str
    names: tuple[str, ...]  # by which a provider may choose it
    suffix: str = ""  # of its file: how it is read


class Body(Value, kw_only=True):
    """A prompt in evalh's form."""

    text: str
    jinja2: bool
    printed: frozenset[str]
    paths: frozenset[str]
    used: frozenset[str]
    guarded: frozenset[str]


class PromptReader:
    """Finds prompts and writes their bodies."""

    def __init__(self, sheet: ProofSheet) -> None:
        self._sheet = sheet

    def prompts(self, node: Node) -> Iterator[ForeignPrompt]:
        """Yield the prompts under `prompts`; what is a program is told."""
        match node.value:
            case str():
                yield from self._of_text(node.value, node, None)
            case list():
                for number in range(len(node.value)):
                    yield from self._one(node.raw(number))
            case Mapping():
                for raw, label in node.value.items():
                    yield from self._of_text(raw, node.raw(raw), str(label))
            case _:
                return

    def _one(self, node: Node) -> Iterator[ForeignPrompt]:
        if isinstance(node.value, str):
            yield from self._of_text(node.value, node, None)
            return
        raw = node.raw("raw").value or node.raw("id").value
        if not isinstance(raw, str):
            self._lost(node.where, "prompt", "has no text under `raw`")
            return
        if node.has("config") or node.has("function"):
            self._lost(
                node.where, "config of a prompt", "this prompt changes the model's settings", "a model of its own"
            )
        yield from self._of_text(raw, node, node.text("label") or node.text("id"))

    def _of_text(self, raw: str, node: Node, label: str | None) -> Iterator[ForeignPrompt]:
        """Yield what a text means: itself, or the prompts of a file or pattern."""
        if raw.startswith(_SERVICES):
            self._lost(node.where, f"prompt {raw}", "is kept at a service", "copy its text into a file")
        elif raw.startswith("exec:") or is_code(raw) or raw.endswith(_PROGRAMS):
            self._lost(node.where, f"prompt {raw[:_LONGEST_NOTE]}", _PROGRAM, _PROGRAM_DO)
        elif not _is_path(raw):
            yield _prompt(raw, label, node.where, raw)
        else:
            try:
                paths = node.files.expand(raw, node.where)
            except WorkspaceError as exc:
                if raw.startswith("file://") or raw.endswith(_ENDINGS):
                    self._lost(node.where, f"prompt {raw}", exc.what)
                else:  # a text with a slash or a star in it
                    yield _prompt(raw, label, node.where, raw)
                return
            for path in paths:
                yield from self._file(path, node, label, raw)

    def _file(self, path: Path, node: Node, label: str | None, raw: str) -> Iterator[ForeignPrompt]:
        if is_code(path.name) or path.suffix in _PROGRAMS:
            self._lost(node.where, f"prompt {path.name}", _PROGRAM, _PROGRAM_DO)
            return
        text = node.files.text(path, node.where)
        where = node.files.label(path)
        match path.suffix:
            case ".txt":
                texts = _parts(text)
            case ".csv":
                texts = [row[0] for row in csv.reader(io.StringIO(text)) if row and row[0].strip() != "prompt"]
            case ".jsonl":
                texts = [line for line in text.split("\n") if line.strip()]
            case ".yaml" | ".yml":
                texts = [json.dumps(node.opened(str(path)).value, ensure_ascii=False)]
            case _:
                texts = [text]
        if not texts:
            self._lost(node.where, f"prompt {raw}", "the file holds no prompt")
        for number, part in enumerate(texts):
            name = label or (path.stem if len(texts) == 1 else f"{path.stem} {number + 1}")
            yield _prompt(part, name, f"{where}:1", raw, path.suffix)

    def _lost(self, where: str, what: str, why: str, do: str | None = None) -> None:
        self._sheet.add(Fidelity.NOT, where, what, why, subject=Subject.PROMPT, do=do)

    def body(self, prompt: ForeignPrompt, around: tuple[str, str] = ("", "")) -> Body | None:
        """Return a prompt's body with a prefix and suffix, or tell why there is none."""
        text = around[0] + prompt.text + around[1]
        what = f"prompt {prompt.label[:_LONGEST_NOTE]!r}"
        try:
            messages = _messages(text)
            parts: list[tuple[str | None, str]] = [(None, text)] if messages is None else [*messages]
            found = [(role, translated(part)) for role, part in parts]
            if any(part.jinja2 for _, part in found):
                found = [(role, translated(part, jinja2=True)) for role, part in parts]
        except NotRenderedError as exc:
            do = "write it with evalh.template: jinja2, or put the value into an input"
            self._lost(prompt.where, what, f"its template has {exc}", do)
            return None
        near = [why for _, part in found for why in part.near]
        if messages is not None and not _is_json(text):
            near.append(_LATE)
        if not any(part.text.strip() for _, part in found):
            self._lost(prompt.where, what, "is empty")
            return None
        status = Fidelity.NEAR if near else Fidelity.SAME
        told = "; ".join(dict.fromkeys(near)) or None
        advice = "evalh render shows what is sent; --verify compares it" if near else None
        self._sheet.add(status, prompt.where, what, told, subject=Subject.PROMPT, do=advice)
        return _joined(found)


def _prompt(text: str, label: str | None, where: str, raw: str, suffix: str = "") -> ForeignPrompt:
    first = " ".join(text.split())[:60]
    names = tuple(dict.fromkeys(name for name in (label, raw, text) if name))
    return ForeignPrompt(text=text, label=label or first or "empty", where=where, names=names, suffix=suffix)


def _is_path(text: str) -> bool:
    """Whether promptfoo takes a prompt for the name of a file."""
    if "\n" in text:
        return False
    tokens = text.split(":")[-2:]
    ends = any(token.endswith(_ENDINGS) for token in tokens)
    return (
        text.startswith("file://")
        or ends
        or text[-3:-2] == "."
        or text[-4:-3] == "."
        or any(one in text for one in "*/\\")
    )


def _parts(text: str) -> list[str]:
    """Split a file of prompts at the lines that are `---`."""
    parts: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip() == "---":
            parts.append([])
        else:
            parts[-1].append(line)
    return [joined for part in parts if (joined := "\n".join(part).strip())]


def _is_json(text: str) -> bool:
    try:
        parse(text)
    except NotStrictJson:
        return False
    return True


def _messages(text: str) -> list[tuple[str, str]] | None:
    """Return the roles and templates of a conversation; None for a text. Raises NotRenderedError."""
    stripped = text.strip()
    value: JsonValue = None
    if stripped.startswith("- role:"):
        try:
            value = parse_yaml(text, "the prompt", foreign=True).value
        except WorkspaceError as exc:
            raise NotRenderedError(f"a conversation in YAML that cannot be read: {exc.what}") from None
    elif stripped.startswith(("[", "{")):
        try:
            value = parse(text if _is_json(text) else _UNQUOTED.sub(_marked, text))
        except NotStrictJson:
            if stripped.startswith(("[{", "[\n", '{"')):
                raise NotRenderedError("JSON around tags that cannot be read before it is filled") from None
            return None
    if isinstance(value, Mapping) and isinstance(value.get("messages"), list):
        value = value["messages"]
    if not isinstance(value, list) or not value or not all(isinstance(one, Mapping) and "role" in one for one in value):
        return None
    return [_message(one) for one in value]


def _marked(found: "re.Match[str]") -> str:
    """Write a slot between JSON's texts as a text with a mark; a text stays as it is."""
    return found[0] if found["name"] is None else f'"{_MARK}{found["name"]}{_MARK}"'


def _message(message: Mapping[str, JsonValue]) -> tuple[str, str]:
    role = ROLES.get(str(message["role"]))
    if role is None:
        raise NotRenderedError(f"a message of the role {message['role']!r}")
    content = message.get("content")
    parts = content if isinstance(content, list) else [content]
    return role, "\n".join(_content(part) for part in parts)


def _content(part: JsonValue) -> str:
    if isinstance(part, Mapping):
        part = part.get("text") if part.get("type") in ("text", "input_text", None) else _media(part)
    if not isinstance(part, str):
        raise NotRenderedError("a message whose content is not text")
    return _DUMPED.sub(lambda found: f"{{{{{found['name']}}}}}", part)


def _media(part: Mapping[str, JsonValue]) -> str:
    """Return evalh's marker for an image whose address is a variable. Raises NotRenderedError."""
    source = json.dumps(part)
    found = re.search(r"\{\{\s*(\w+)\s*\}\}", source)
    if part.get("type") not in ("image_url", "image", "input_image", "input_audio") or found is None:
        raise NotRenderedError(f"a part of the type {part.get('type')!r}")
    return f"{_MARK}media {found[1]}{_MARK}"


def _joined(found: Sequence[tuple[str | None, TemplateText]]) -> Body:
    """Write messages one below the other, each under its role."""
    texts = []
    for role, part in found:
        text = re.sub(f"{_MARK}media (\\w+){_MARK}", r"{{media url=\1}}", part.text).strip()
        if text:
            texts.append(text if role is None else f'{{{{role "{role}"}}}}\n{text}')
    return Body(
        text="\n".join(texts),
        jinja2=any(part.jinja2 for _, part in found),
        printed=frozenset().union(*(part.printed for _, part in found)),
        paths=frozenset().union(*(part.paths for _, part in found)),
        used=frozenset().union(*(part.used for _, part in found)),
        guarded=frozenset().union(*(part.guarded for _, part in found)),
    )
