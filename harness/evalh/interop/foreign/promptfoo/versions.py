"""A prompt's version: its body and front matter, and the rows made to print what Nunjucks prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.layout import version_text
from evalh.interop.foreign.promptfoo.nunjucks import input_name, js_text
from evalh.interop.foreign.promptfoo.oracle import no_partial
from evalh.interop.foreign.promptfoo.prompts import Body, ForeignPrompt, PromptReader
from evalh.interop.foreign.promptfoo.providers import ForeignModel
from evalh.interop.foreign.promptfoo.rows import ForeignRows
from evalh.interop.foreign.transfer import Fidelity, NewVersion, ProofSheet, Row, Subject
from evalh.workspace.prompt.dialect_portable import text_of
from evalh.workspace.prompt.versions import Position, parse_version

_LONGEST = 200


def new_version(
    prompt: ForeignPrompt, reader: PromptReader, rows: ForeignRows, members: Sequence[ForeignModel], sheet: ProofSheet
) -> NewVersion | None:
    """Return a prompt as a version; None if it has none. Changes rows where values are printed differently."""
    around = rows.around if not prompt.text.lstrip().startswith(("[", "{", "- role")) else ("", "")
    body = reader.body(prompt, around)
    if body is None:
        return None
    for row in rows.rows:
        _print_as_nunjucks(row, body, prompt.where, sheet)
    front: dict[str, JsonValue] = {}
    if defaults := _defaults(body, rows.rows):
        front["input"] = {"default": defaults}
        why = f"not every test has {', '.join(sorted(defaults))}: nothing is printed there"
        sheet.add(Fidelity.NOTE, prompt.where, "variables without a value", why, subject=Subject.PROMPT)
    of_models = _of_models(members, sheet)
    front["evalh.why"] = " ".join(prompt.label.split())[:_LONGEST]
    if body.jinja2:
        front["evalh.template"] = "jinja2"
    return _accepted(NewVersion(body.text, front), of_models, prompt, sheet)


def _accepted(
    version: NewVersion, more: Mapping[str, JsonValue], prompt: ForeignPrompt, sheet: ProofSheet
) -> NewVersion | None:
    """Return a version as evalh reads it, with what its models bring where that is accepted; None for none."""
    if (refusal := _refusal(version)) is not None:
        sheet.add(Fidelity.NOT, prompt.where, f"prompt {prompt.label!r}", refusal, subject=Subject.PROMPT)
        return None
    for key, value in more.items():
        whole = NewVersion(version.body, {key: value, **version.front})
        if (refusal := _refusal(whole)) is None:
            version = whole
        else:
            sheet.add(Fidelity.NOT, prompt.where, f"{key} of the provider", refusal, subject=Subject.MODEL)
    return version


def _refusal(version: NewVersion) -> str | None:
    if "\0" in version.body:
        return "holds a NUL byte"
    try:
        parse_version(version_text(version), Position("prompt", "v1", "v1.prompt"), no_partial)
    except WorkspaceError as exc:
        return exc.what
    return None


def _print_as_nunjucks(row: Row, body: Body, where: str, sheet: ProofSheet) -> None:
    """Turn values into the text that Nunjucks prints, where evalh would print another."""
    inputs: Any = row["inputs"]
    for name in body.printed:
        kept = input_name(name)
        value = inputs.get(kept)
        if kept not in inputs or isinstance(value, str) or _text(value) == js_text(value):
            continue
        inputs[kept] = js_text(value)
        why = "is printed as JavaScript prints it, so the row holds that text"
        sheet.add(Fidelity.NEAR, where, f"variable {name}", why, subject=Subject.CASE)


def _text(value: JsonValue) -> str | None:
    return None if isinstance(value, dict | list) else text_of(value)


def _defaults(body: Body, rows: Sequence[Row]) -> dict[str, JsonValue]:
    """Return values for what a row lacks: nothing is printed for it."""
    found: dict[str, Any] = {}
    for name in sorted(body.used - body.guarded):
        kept = input_name(name)
        if any(kept not in _inputs(row) for row in rows):
            found[kept] = ""
    for path in sorted(body.paths):
        name, *fields = path.split(".")
        if found.get(input_name(name)) == "":
            found[input_name(name)] = {}
        for row in rows:
            _fill(row["inputs"], (input_name(name), *fields))
        _fill(found, (input_name(name), *fields))
    return found


def _inputs(row: Row) -> Mapping[str, JsonValue]:
    inputs: Mapping[str, JsonValue] = row["inputs"]
    return inputs


def _fill(inputs: Any, path: Sequence[str]) -> None:
    """Put an empty text where a path leads, if it leads nowhere."""
    if path[0] not in inputs:
        return
    for key in path[:-1]:
        inputs = inputs.setdefault(key, {})
        if not isinstance(inputs, dict):
            return
    if inputs.get(path[-1]) is None:
        inputs[path[-1]] = ""


def _of_models(members: Sequence[ForeignModel], sheet: ProofSheet) -> dict[str, JsonValue]:
    """Return the output schema and tools, which belong to a version here and to a provider there."""
    front: dict[str, JsonValue] = {}
    schemas = [member.schema for member in members]
    tools = [member.tools for member in members]
    if any(schemas):
        if any(schema != schemas[0] for schema in schemas):
            why = "the providers ask for different forms of output; here it belongs to the prompt"
            sheet.add(Fidelity.NOT, members[0].where, "response_format", why, subject=Subject.MODEL)
        else:
            front["output"] = {"schema": schemas[0]}
    if any(tools):
        if any(one != tools[0] for one in tools):
            why = "the providers have different tools; here they belong to the prompt"
            sheet.add(Fidelity.NOT, members[0].where, "tools", why, subject=Subject.MODEL)
        else:
            front["tools"] = list(tools[0])
    return front
