"""Providers that are not models: a service with an address, a program, a function."""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.core.values import Value
from evalh.interop.foreign.promptfoo.entries import NoEntryError
from evalh.interop.foreign.promptfoo.kept_code import KeptCode
from evalh.interop.foreign.promptfoo.nodes import Node
from evalh.interop.foreign.promptfoo.sources import REMOVED
from evalh.interop.foreign.transfer import Fidelity

_CLAUDE = ("claude-agent-sdk", "claude-code")
_AGENTS = ("codex-sdk", "codex", "opencode", "agents")
_OF_HTTP = frozenset({"url", "method", "headers", "body", "transformResponse", "responseParser", "request"})
_SCRIPT = re.compile(r"(?:file://)?(?P<path>[^:]+\.(?P<kind>js|mjs|cjs|ts|mts|cts|py|sh|rb|go))(?::(?P<name>\w+))?")
_PROMPT = re.compile(r"\{\{\s*prompt\s*(?:\|\s*\w+\s*)*\}\}")
_SLOT = re.compile(r"\{\{\s*(?P<name>\w+)\s*(?:\|\s*\w+\s*)*\}\}")
_PATH = re.compile(r"(?:\(?\s*json\s*\)?\s*=>\s*)?json(?P<path>(?:\??\.\w+|\[\d+\])*)\s*;?\s*")
_ENV = re.compile(r"(?P<before>[^{}]*)\{\{\s*env\.(?P<name>\w+)\s*\}\}(?P<after>[^{}]*)")
_TEXT_OF_JSON = re.compile(r"\s*JSON\.stringify\(\s*json\s*\)\s*;?\s*")
_ECHO = '"""The provider echo of promptfoo: the prompt is the answer."""\n\n\ndef echo(prompt):\n    return prompt\n'
_CALL_PY = '''"""Calls a provider that was written for promptfoo: call_api(prompt, options, context)."""

import asyncio
import importlib.util
import inspect
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = {file!r}
FUNCTION = {function!r}
CONFIG = {config!r}


def ask(prompt, inputs, case_id):
    spec = importlib.util.spec_from_file_location(Path(FILE).stem, ROOT / FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    answer = getattr(module, FUNCTION)(prompt, {{"config": CONFIG}}, {{"vars": inputs}})
    if inspect.isawaitable(answer):
        answer = asyncio.run(answer)
    if answer.get("error"):
        raise RuntimeError(str(answer["error"]))
    return answer
'''
_CALL_JS = """// Calls a provider that was written for promptfoo: a class or function with callApi(prompt, context).
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";

const [file, config] = process.argv.slice(2);
let text = "";
for await (const piece of process.stdin) text += piece;
const asked = JSON.parse(text);
const prompt = asked.messages.at(-1)?.content ?? "";
const module = await import(pathToFileURL(resolve(file)));
const made = module.default ?? module;
const options = { config: JSON.parse(config) };
const provider = typeof made !== "function" ? made : made.prototype?.callApi ? new made(options) : { callApi: made };
const answer = await provider.callApi(prompt, { vars: asked.inputs, prompt: { raw: prompt } });
console.log(JSON.stringify(typeof answer === "string" ? { output: answer } : answer));
"""
_USAGE = {"input_tokens": "tokenUsage.prompt", "output_tokens": "tokenUsage.completion"}


class ForeignApplication(Value, kw_only=True):
    """A provider's table, and how near it is."""

    table: dict[str, JsonValue]
    status: Fidelity = Fidelity.NEAR
    why: str | None = None
    do: str | None = None
    transform: JsonValue = None
    objects: bool = False  # assertions see the JSON that it answers, not its text


def read(identity: str, node: Node, code: KeptCode) -> ForeignApplication | None:
    """Return an application's table; None for a model. Raises NoEntryError."""
    config = node.child("config")
    if identity == "echo":
        table = {"provider": "python", "call": f"{code.write('echo.py', _ECHO)}:echo"}
        return ForeignApplication(table=table, status=Fidelity.SAME)
    if identity in ("http", "https") or identity.startswith(("http://", "https://", "http:", "https:")):
        return _http(identity, config)
    if identity.startswith("exec:"):
        return _program(shlex.split(identity.removeprefix("exec:")), code)
    if any(word in identity.split(":") for word in _CLAUDE):
        return _claude(config)
    if any(word in identity.split(":") for word in _AGENTS):
        raise NoEntryError(
            "is an agent in a Node.js package", 'provider = "command": docs/guide/test-my-application.md'
        )
    name = identity.removeprefix("python:").removeprefix("javascript:")
    found = _SCRIPT.fullmatch(name)
    return None if found is None else _script(found, node, config, code)


def _script(found: "re.Match[str]", node: Node, config: Node, code: KeptCode) -> ForeignApplication:
    kind = found["kind"]
    if kind in ("rb", "go"):
        raise NoEntryError(
            "is a program in another language", 'provider = "command", with a program that prints its answer'
        )
    code.refuse_unless_allowed("is a program")
    path = code.keep(found["path"], node)
    settings = config.value if isinstance(config.value, Mapping) else {}
    if kind == "sh":
        return _program(["sh", f"./{path}"], code)
    if kind == "py":
        text = _CALL_PY.format(file=path, function=found["name"] or "call_api", config=settings)
        caller = code.write(f"call_{_word(path)}.py", text)
        table: dict[str, Any] = {"provider": "python", "call": f"{caller}:ask", "output": "output", "usage": _USAGE}
        return ForeignApplication(table={**table, "files": [path]}, why="context holds the variables alone")
    caller = code.write("run_provider.mjs", _CALL_JS)
    command = ["node", *(["--experimental-strip-types"] if kind.endswith("ts") else []), f"./{caller}", path]
    table = {"provider": "command", "command": [*command, json.dumps(settings)], "output": "output", "usage": _USAGE}
    why = "needs node, and the packages that it imports; a process for each call"
    return ForeignApplication(
        table={**table, "files": [path]}, why=why, do='env_allow = ["…"] names the variables that it reads'
    )


def _claude(config: Node) -> ForeignApplication:
    """Return Claude Code as a program; its tools and permissions are its own settings."""
    command = ["claude", "-p", "--output-format", "json"]
    if (model := config.text("model")) is not None:
        command += ["--model", model]
    table: dict[str, Any] = {"provider": "command", "command": command, "stdin": "prompt", "output": "result"}
    why = "the program `claude` stands for the SDK; its tools, permissions and working folder are not carried over"
    do = 'workdir = "…" is copied for each call; env_allow = ["ANTHROPIC_API_KEY"]'
    return ForeignApplication(table={**table, "cost_from": "total_cost_usd"}, why=why, do=do)


def _word(path: str) -> str:
    return re.sub(r"\W+", "_", path.rpartition("/")[2].rpartition(".")[0])


def _program(command: list[str], code: KeptCode) -> ForeignApplication:
    code.refuse_unless_allowed("is a program")
    table: dict[str, Any] = {"provider": "command", "command": command, "stdin": "prompt"}
    why = "the prompt comes on stdin, not as an argument"
    return ForeignApplication(table=table, why=why, do="let the program read stdin")


def _http(identity: str, config: Node) -> ForeignApplication:
    url = identity if "://" in identity else config.text("url")
    if url is None or "{{" in url or REMOVED in url:
        raise NoEntryError(
            "its address is a template or holds a key", 'provider = "http", with the address written out'
        )
    if config.has("request"):
        raise NoEntryError("states a request as text", 'provider = "http", with url, headers and body')
    if str(config.child("method").value or "POST").upper() != "POST":
        raise NoEntryError(
            "is asked with another method than POST", "a small server in front of it, or a `python` model"
        )
    table: dict[str, Any] = {"provider": "http", "url": url}
    body = _read_body(config.child("body").value)
    table["body"] = _slots({"prompt": "{{prompt}}"} if body is None else body)
    _headers(config.child("headers").value, table)
    transform = config.child("transformResponse").value or config.child("responseParser").value
    near = ["without a revision, another run asks again"]
    near += [f"config.{key} is not carried over" for key in config.names if key not in _OF_HTTP]
    after = None
    objects = False
    if isinstance(transform, str) and (path := _PATH.fullmatch(transform.strip())):
        table["output"] = path["path"].replace("?", "").replace("[", ".").replace("]", "").strip(".") or "$"
        objects = table["output"] == "$"
    elif transform is None or _TEXT_OF_JSON.fullmatch(transform if isinstance(transform, str) else ""):
        table["output"] = "$"
        objects = transform is None
    else:
        table["output"] = "$"
        after = _on_json(transform)
        near.append("its transformResponse is applied by graders in JavaScript alone")
    return ForeignApplication(
        table=table,
        why="; ".join(near),
        do='revision = "git", if the code that answers is this repository',
        transform=after,
        objects=objects,
    )


def _read_body(body: JsonValue) -> JsonValue:
    """Return a body as JSON; one that is text must be JSON with slots in its texts. Raises NoEntryError."""
    if not isinstance(body, str):
        return body
    try:
        return parse(body)
    except NotStrictJson:
        raise NoEntryError("its body is a template around JSON", 'provider = "http", with a body of slots') from None


def _on_json(transform: JsonValue) -> JsonValue:
    """Return a transform of a response as one of an output: there `json` is the body, here its text is handed over."""
    if not isinstance(transform, str) or transform.startswith("file://"):
        return None
    return (
        "const text = output; let json; try { json = JSON.parse(output); } catch { json = output; }\n"
        f"const made = ({transform.strip().rstrip(';')});\n"
        "return typeof made === 'function' ? made(json, text) : made;"
    )


def _slots(body: JsonValue) -> JsonValue:
    """Return a body with evalh's slots. Raises NoEntryError for a template with logic."""
    match body:
        case str():
            if "{%" in body:
                raise NoEntryError("its body is a template with logic", 'provider = "http", with a body of slots')
            text = _PROMPT.sub("{{prompt}}", body)
            return _SLOT.sub(lambda one: one[0] if one["name"] == "prompt" else f"{{{{inputs.{one['name']}}}}}", text)
        case Mapping():
            return {key: _slots(item) for key, item in body.items()}
        case list():
            return [_slots(item) for item in body]
        case _:
            return body


def _headers(headers: JsonValue, table: dict[str, Any]) -> None:
    """Put plain headers into the table, and those with a key by the name of a variable."""
    for name, value in headers.items() if isinstance(headers, Mapping) else ():
        text = str(value)
        variable = _ENV.fullmatch(text)
        if variable is not None:
            table.setdefault("headers_env", {})[name] = variable["name"]
        elif REMOVED in text or name.lower() in ("authorization", "cookie"):
            table.setdefault("headers_env", {})[name] = "APP_" + re.sub(r"\W+", "_", name).upper()
        elif "{{" not in text and name.lower() != "content-type":
            table.setdefault("headers", {})[name] = text
