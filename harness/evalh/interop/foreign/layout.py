"""The files of a transfer: where each lies in the workspace, and its bytes."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.transfer import NewVersion, Row, Transfer

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_./@-]*(?: [A-Za-z0-9_./@-]+)*")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_NOT_TEXT = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_UNWRITABLE = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def files_of(transfer: Transfer, origin: str) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Yield each file's path in the workspace and its content, piece by piece. `origin`: what was imported."""
    for name, versions in transfer.prompts.items():
        for number, version in enumerate(versions, 1):
            yield f"prompts/{name}/v{number}.prompt", [version_text(version).encode()]
    for dataset in transfer.datasets:
        yield f"datasets/{dataset.name}.jsonl", _lines(dataset.rows)
    for name, suite in transfer.suites.items():
        yield f"evals/{name}.yaml", [_suite(suite, origin).encode()]
    for path, rows in transfer.recordings.items():
        yield path, _lines(rows)
    for path, content in transfer.files.items():
        yield path, [content]


def version_text(version: NewVersion) -> str:
    """Return a prompt file: its front matter, then its body."""
    front = "".join(f"{key}: {flow(value)}\n" for key, value in version.front.items())
    head = f"---\n{front}---\n" if front else ""
    return f"{head}{version.body.rstrip()}\n"


def config_text(models: Mapping[str, Mapping[str, JsonValue]], default_suite: str | None) -> str:
    """Return a whole evalh.toml."""
    begin = f"[workspace]\ndefault_suite = {_toml(default_suite)}\n" if default_suite else "[workspace]\n"
    return begin + ("\n" + models_text(models) if models else "")


def models_text(models: Mapping[str, Mapping[str, JsonValue]]) -> str:
    """Return the tables of the models, as they stand in evalh.toml."""
    return "\n".join(
        f"[models.{_toml_key(name)}]\n"
        + "".join(f"{_toml_key(key)} = {_toml(value)}\n" for key, value in table.items() if value is not None)
        for name, table in models.items()
    )


def flow(value: JsonValue) -> str:
    """Write a value as YAML on one line: plain words stay bare, all else is as in JSON."""
    match value:
        case str():
            return value if _plain(value, _WORD) else _quoted(value)
        case Mapping():
            pairs = (f"{key if _plain(key, _KEY) else _quoted(key)}: {flow(item)}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        case list() | tuple():
            return f"[{', '.join(map(flow, value))}]"
        case _:
            return json.dumps(value)


def _plain(text: str, form: re.Pattern[str]) -> bool:
    return form.fullmatch(text) is not None and text.lower() not in _NOT_TEXT


def _quoted(text: str) -> str:
    return _UNWRITABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _lines(rows: Iterable[Row]) -> Iterator[bytes]:
    for row in rows:
        yield (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _suite(suite: Mapping[str, JsonValue], origin: str) -> str:
    lines = [f"# Imported from {' '.join(origin.split())}; IMPORT.md says what differs."]
    for key, value in suite.items():
        match value:
            case list() if key in ("graders", "compare"):
                lines += [f"{key}:", *(f"  - {_entry(item)}" for item in value)]
            case _:
                lines.append(f"{key}: {flow(value)}")
    return "\n".join(lines) + "\n"


def _entry(grader: JsonValue) -> str:
    """Write a grader in its usual form: `- kind: {…}`."""
    if isinstance(grader, Mapping) and len(grader) == 1:
        ((kind, params),) = grader.items()
        return f"{flow(kind)}: {flow(params)}"
    return flow(grader)


def _toml_key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _toml(key)


def _toml(value: JsonValue) -> str:
    """Write a value as TOML on one line. TOML has no null: evalh reads the text "null"."""
    match value:
        case None:
            return '"null"'
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case Mapping():
            pairs = ", ".join(f"{_toml_key(key)} = {_toml(item)}" for key, item in value.items())
            return f"{{{pairs}}}"
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return json.dumps(value)
