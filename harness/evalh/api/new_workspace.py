"""The workspace that `evalh init` writes: small, complete, and runnable at once."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from shlex import join

from evalh.core.errors import UsageError
from evalh.core.values import Value
from evalh.workspace.writing import new_file

_STARTER = files("evalh.api") / "starter"
_IGNORED = ".gitignore"
EMPTY_FOLDER = "use an empty folder: evalh init NAME"


class Task(StrEnum):
    """What a prompt is for: each has a starter."""

    LABEL = "label"
    EXTRACT = "extract"
    REPLY = "reply"


NAMES = {Task.LABEL: "sentiment", Task.EXTRACT: "order", Task.REPLY: "reply"}
"""By task: what its starter's prompt, dataset and suite are called."""

SMALL, RECORDED = "small", "recorded"
_EMBEDDED = """[models.small]
provider = "local" # runs inside evalh: no key, no service
model = "smollm2-135m-instruct"
"""
_REPLAYED = """[models.recorded]
provider = "replay" # answers that small gave to these prompts: try evalh without a model
path = "recorded/{version}.jsonl"
"""
_HOSTED = {
    "openai": """provider = "openai"
model = "gpt-5-mini"
params = {temperature = "null"} # this model refuses a temperature: leave it out
api_key_env = "OPENAI_API_KEY" # the variable's name, never a key
""",
    "anthropic": """provider = "anthropic"
model = "claude-haiku-4-5"
api_key_env = "ANTHROPIC_API_KEY" # the variable's name, never a key
""",
    "gemini": """provider = "gemini"
model = "gemini-2.5-flash"
api_key_env = "GEMINI_API_KEY" # the variable's name, never a key
""",
    "server": """provider = "openai" # any server with OpenAI's chat completions: vLLM, Ollama, llama-server
model = "qwen3:8b"
base_url = "http://localhost:11434/v1"
""",
}
KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY"}
"""By provider: the variable that holds its key."""
_TOLD = {RECORDED: " # shipped answers; `small` needs: pip install 'evalh[local]'"}


class NewWorkspace(Value, kw_only=True):
    """What a new workspace is for."""

    task: Task = Task.LABEL
    model: str = SMALL


def write_workspace(folder: Path, wanted: NewWorkspace) -> list[str]:
    """Write the files of a new workspace; return their relative names.

    Raises UsageError if a workspace exists already or a file would be overwritten: nothing is written then.
    """
    refuse_workspace(folder)
    contents = _starter(wanted)
    if (folder / _IGNORED).exists():  # most repositories have one; the log's folder ignores itself anyway
        del contents[_IGNORED]
    for name in contents:
        if (folder / name).exists():
            raise UsageError("would overwrite a file", where=str(folder / name), hint=EMPTY_FOLDER)
    with ExitStack() as all_or_none:
        for name, content in contents.items():
            file = all_or_none.enter_context(new_file(folder / name))
            file.write(content)
            file.flush()
    return list(contents)


def refuse_workspace(folder: Path, source: Path | None = None, mapping: Sequence[str] = ()) -> None:
    """Raise UsageError if the folder is a workspace already. `source`: the rows that were to be its dataset."""
    if (folder / "evalh.toml").exists():
        hint = "evalh check"
        if source is not None:
            maps = [word for pair in mapping for word in ("--map", pair)]
            words = ["evalh", "import", "rows", str(source), *maps, "--into", str(folder)]
            hint = f"to import the rows into it: {join(words)}"
        raise UsageError("the folder is a workspace already", where=str(folder / "evalh.toml"), hint=hint)


def own_workspace(name: str, model: str, recorded: str) -> dict[str, bytes]:
    """Return what a workspace needs beside a person's own rows. `recorded`: tables of models that answer from them."""
    config = _config(name, "v1", model, recorded=False)
    return {_IGNORED: _ignored(), "evalh.toml": config + (f"\n{recorded}".encode() if recorded else b"")}


def _starter(wanted: NewWorkspace) -> dict[str, bytes]:
    name = NAMES[wanted.task]
    found = {at: source.read_bytes() for at, source in _walk(_STARTER / wanted.task, "")}
    stated = f"model: {name_of_model(wanted.model)}{_TOLD.get(wanted.model, '')}\n"
    found[f"evals/{name}.yaml"] = found[f"evals/{name}.yaml"].replace(b"model: small\n", stated.encode())
    config = _config(name, "v2", wanted.model, recorded=True)
    return dict(sorted({_IGNORED: _ignored(), "evalh.toml": config, **found}.items()))


def _config(name: str, live: str, model: str, *, recorded: bool) -> bytes:
    hosted = f"[models.strong]\n{_HOSTED.get(model, _HOSTED['openai'])}"
    if model not in _HOSTED:
        hosted = "".join(f"# {line}\n" for line in hosted.splitlines())
    parts = [
        f"[workspace]\ndefault_suite = {json.dumps(name)}\n",
        f"[prompts.{name}]\nlive = {json.dumps(live)} # a rollback is one line\n",
        _EMBEDDED,
        *([_REPLAYED] if recorded else []),
        hosted,
    ]
    return "\n".join(parts).encode()


def name_of_model(model: str) -> str:
    """Return what evalh.toml calls a model."""
    return "strong" if model in _HOSTED else model


def _ignored() -> bytes:
    return (_STARTER / _IGNORED).read_bytes()


def _walk(folder: Traversable, prefix: str) -> "list[tuple[str, Traversable]]":
    found: list[tuple[str, Traversable]] = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            found.extend(_walk(entry, f"{name}/"))
        elif not entry.name.endswith((".pyc", ".py")):
            found.append((name, entry))
    return found


def usable_model(env: Mapping[str, str], *, installed: bool, own: bool) -> str:
    """Return the model that can be asked here: the embedded one, else recorded answers; for own rows, who has a key."""
    if installed:
        return SMALL
    if not own:
        return RECORDED
    return next((provider for provider, key in KEYS.items() if env.get(key)), SMALL)
