"""Assertions that are code: JavaScript for the isolate, Python behind a wrapper; and others where only code will do."""

import json
import re
from collections.abc import Mapping

from evalh.core.strict_json import JsonValue
from evalh.graders.javascript.isolate import missing_engine, syntax_error
from evalh.graders.javascript.sources import body_of
from evalh.interop.foreign.promptfoo.entries import ForeignAssertion, GraderEntry, NoEntryError
from evalh.interop.foreign.promptfoo.kept_code import KeptCode
from evalh.interop.foreign.promptfoo.nodes import is_code

FROM_PROVIDER = "providerTransform"
"""The option under which a provider's own transform is handed on."""

_EDITS = 5
_TEXT = "const text = typeof output === 'string' ? output : JSON.stringify(output);"
_FORMS = {
    "equals": "return text === value;",
    "contains": "return text.includes(value);",
    "contains-all": "return value.every((one) => text.includes(one));",
    "contains-any": "return value.some((one) => text.includes(one));",
    "icontains": "return text.toLowerCase().includes(value.toLowerCase());",
    "icontains-all": "return value.every((one) => text.toLowerCase().includes(one.toLowerCase()));",
    "icontains-any": "return value.some((one) => text.toLowerCase().includes(one.toLowerCase()));",
    "starts-with": "return text.startsWith(value);",
    "regex": "return new RegExp(value).test(text);",
    "is-json": "try { JSON.parse(text); return true; } catch { return false; }",
    "contains-json": """for (let start = text.indexOf('{'); start >= 0; start = text.indexOf('{', start + 1)) {
  for (let end = text.indexOf('}', start); end >= 0; end = text.indexOf('}', end + 1)) {
    try { JSON.parse(text.slice(start, end + 1)); return true; } catch {}
  }
}
return false;""",
    "levenshtein": """if (Math.abs(text.length - value.length) > most) return false;
let above = Array.from({length: value.length + 1}, (_, place) => place);
for (let row = 1; row <= text.length; row++) {
  const line = [row];
  for (let place = 1; place <= value.length; place++) {
    const same = text[row - 1] === value[place - 1] ? 0 : 1;
    line.push(Math.min(above[place] + 1, line[place - 1] + 1, above[place - 1] + same));
  }
  if (Math.min(...line) > most) return false;
  above = line;
}
return above[value.length] <= most;""",
}
_TRIM = "output.trim()"
_UNCHANGED = ("latency", "cost", "tool_calls")  # they do not read the text
_OF_MODELS = ("judge", "embedding_similarity", "python")
_NODE = re.compile(r"(?<![\w.$])(?:fetch|setTimeout|setInterval|Buffer|__dirname|process\s*\.\s*(?!env\b)\w+)\b")
_PACKAGE = re.compile(r"(?:\brequire\s*\(\s*|\bfrom\s+|\bimport\s*\(?\s*)[\"'](?!\.{1,2}/)([^\"'\n]{1,80})[\"']")
_OTHERWISE = re.compile(r"\bIntl\b|toLocale\w+|localeCompare|structuredClone")
_SUPPORTED = (".js", ".cjs", ".mjs")


def as_code(asked: ForeignAssertion) -> GraderEntry:
    """Return an assertion about text as JavaScript that does the same. Raises NoEntryError."""
    form = _FORMS.get(asked.kind)
    if form is None or (asked.kind == "is-json" and asked.value):
        raise NoEntryError(
            "cannot be used on an output that a transform changed", "javascript: {code: …, transform: …}"
        )
    value = asked.value
    if asked.kind == "equals" and not isinstance(value, str):
        value = json.dumps(value)
    lines = [_TEXT, f"const value = {_js(value)};"] if "value" in form else [_TEXT]
    if "most" in form:
        lines.append(f"const most = {_js(_EDITS if asked.threshold is None else asked.threshold)};")
    return GraderEntry(kind="javascript", params={"code": "\n".join((*lines, form))})


def _js(value: JsonValue) -> str:
    return json.dumps(value)  # in ASCII: U+2028 ended lines in older engines


def with_transform(entry: GraderEntry, asked: ForeignAssertion, code: KeptCode) -> GraderEntry:
    """Return the entry for an output that the test's `transform`, and then the assertion's, changed first."""
    own = asked.options.get("transform") or asked.options.get("postprocess")
    stated = (asked.options.get(FROM_PROVIDER), own, asked.node.raw("transform").value)
    steps = [step_of(one, asked, code) for one in stated if one]
    if not steps:
        return entry
    if entry.kind in _UNCHANGED:
        return entry
    if steps == [_TRIM] and (trimmed := _on_trimmed(entry)) is not None:
        return trimmed
    if entry.kind in _OF_MODELS:
        return entry.nearly("the model sees the output as it is, before the transform")
    if entry.kind != "javascript":
        entry = as_code(asked)
    return GraderEntry(kind=entry.kind, params={**entry.params, "transform": steps}, status=entry.status, why=entry.why)


def _on_trimmed(entry: GraderEntry) -> GraderEntry | None:
    """Return an entry that judges the output as one that judges it without blanks at its ends; None if none does."""
    value = entry.params.get("value")
    texts = value if isinstance(value, list) else [value]
    if entry.kind == "json":
        return entry
    if not all(isinstance(text, str) and text == text.strip() for text in texts):
        return None
    if entry.kind == "contains":
        return entry
    return GraderEntry(kind="equals", params={**entry.params, "trim": True}) if entry.kind == "equals" else None


def step_of(stated: JsonValue, asked: ForeignAssertion, code: KeptCode) -> JsonValue:
    """Return one transform as a step of the grader `javascript`. Raises NoEntryError."""
    if not isinstance(stated, str):
        raise NoEntryError("its transform is not text")
    if stated.startswith("file://"):
        return {"file": _script(stated, asked, code)}
    _refuse_node(stated)
    if missing_engine() is None and (wrong := syntax_error(body_of(stated.strip()), "output,context")) is not None:
        raise NoEntryError(f"its transform is not JavaScript: {wrong[0]}")
    return stated.strip()


def javascript(asked: ForeignAssertion, code: KeptCode) -> GraderEntry:
    """Read code or a file of it. Raises NoEntryError."""
    value = asked.value
    if not isinstance(value, str) or not value.strip():
        raise NoEntryError("has no code")
    if value.startswith("file://") and is_code(value):
        params: dict[str, JsonValue] = {"file": _script(value, asked, code)}
        source = code.source(value, asked.node)
    else:
        _refuse_node(value)
        params = {"code": value.rstrip()}
        source = value
    if asked.threshold is not None:
        params["threshold"] = asked.threshold
    config = asked.node.child("config").value
    if config is not None:
        params["config"] = config
    if asked.objects:
        params["parse"] = True
    entry = GraderEntry(kind="javascript", params={**params, "throws": "fail"})
    if found := _OTHERWISE.search(source):
        return entry.nearly(f"{found[0]} differs from Node's: the engine has no table of languages")
    if "context" in source and re.search(r"context\s*\.\s*(?:provider|prompt|trace|test\b)", source):
        return entry.nearly("parts of context may be written differently: prompt, provider, test")
    return entry


def _script(name: str, asked: ForeignAssertion, code: KeptCode) -> str:
    path, _, function = name.removeprefix("file://").partition(":")
    if not path.endswith(_SUPPORTED):
        raise NoEntryError(
            "is not plain JavaScript", "compile it to JavaScript first, or start node in a `python` grader"
        )
    _refuse_node(code.source(name, asked.node))
    kept = code.keep_script(path, asked.node)
    return f"{kept}:{function}" if function else kept


def _refuse_node(source: str) -> None:
    found = _PACKAGE.search(source)
    if found is not None:
        raise NoEntryError(f"needs node: {found[1]}", "a `python` grader that starts node, or code without packages")
    found = _NODE.search(source)
    if found is not None:
        raise NoEntryError(f"needs node: {found[0]}", "a `python` grader that starts node, or code without it")


def python(asked: ForeignAssertion, code: KeptCode) -> GraderEntry:
    """Read Python code or a file of it, kept behind a wrapper if the user allowed code. Raises NoEntryError."""
    value = asked.value
    if not isinstance(value, str) or not value.strip():
        raise NoEntryError("has no code")
    code.refuse_unless_allowed("is a program in Python")
    arguments: dict[str, JsonValue] = {}
    if value.startswith("file://") or (value.endswith(".py") and "\n" not in value):
        path, _, function = value.removeprefix("file://").partition(":")
        arguments |= {"file": code.keep(path, asked.node), "function": function or "get_assert"}
    else:
        arguments |= {"file": code.keep_inline(value)}
    config = asked.node.child("config").value
    if isinstance(config, Mapping):
        arguments["config"] = config
    if asked.threshold is not None:
        arguments["threshold"] = asked.threshold
    entry = GraderEntry(kind="python", params={"function": f"{code.wrapper()}:judge", "args": arguments})
    return entry.nearly("it runs in evalh's own Python; context holds vars, config and the prompt alone")
