"""`evalh import auto`: which format a file or a folder is, by what it holds."""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from evalh.core.errors import EvalhError, UsageError
from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.github_prompt import ENDINGS as PROMPT_ENDINGS
from evalh.interop.foreign.inspect_data import is_log
from evalh.interop.foreign.oaieval import is_registry
from evalh.interop.foreign.openai_evals.suite import is_dump
from evalh.interop.foreign.tables import ENDINGS, document, files_in, kind_of, records
from evalh.interop.foreign.transfer import ProofSheet
from evalh.workspace.yaml import parse_yaml

_CONFIGS = ("promptfooconfig.yaml", "promptfooconfig.yml", "promptfooconfig.json")
_PROMPTFOO = ("providers", "targets", "tests", "defaultTest", "scenarios")
_LARGEST = 16 * 2**20
_WHO_AND_WHEN = {"question", "steps", "mistake_step"}
_LANGFUSE = ("expectedOutput", "sourceTraceId", "datasetName", "datasetId")


def form_of(source: Path) -> tuple[str, str]:
    """Return a format, and by what it is known. Raises UsageError if nothing is known of the source."""
    if source.is_dir():
        return _folder(source)
    if not source.is_file():
        raise UsageError("no such file", where=str(source))
    if source.name.endswith(PROMPT_ENDINGS):
        return "github-prompt", "its name ends in .prompt.yml"
    if source.suffix == ".eval":
        return "inspect", "its name ends in .eval"
    if source.suffix in (".yaml", ".yml"):
        return _yaml(source)
    if kind_of(source) not in ENDINGS:
        raise _unknown(source)
    return _data(source)


def _unknown(source: Path) -> UsageError:
    hint = (
        f"name the format: evalh import rows {shlex.quote(str(source))}; instead of rows also promptfoo, github-prompt,"
        " openai-evals, langfuse-dataset, inspect"
    )
    return UsageError("it is not clear what this is", where=str(source), hint=hint)


def _folder(source: Path) -> tuple[str, str]:
    for name in _CONFIGS:
        if (source / name).is_file():
            return "promptfoo", f"it holds {name}"
    if any(next(source.rglob(f"*{ending}"), None) for ending in PROMPT_ENDINGS):
        return "github-prompt", "it holds .prompt.yml files"
    for path in sorted(source.glob("*.json")):
        with suppress(EvalhError):
            form, why = _data(path)
            return form, f"{path.name}: {why}"
    with suppress(UsageError):
        return _data(files_in(source)[0])
    raise _unknown(source)


def _yaml(source: Path) -> tuple[str, str]:
    if source.stat().st_size > _LARGEST:
        raise _unknown(source)
    value = parse_yaml(source.read_text("utf-8", "replace"), source.name, foreign=True).value
    if isinstance(value, Mapping):
        if isinstance(value.get("messages"), list):
            return "github-prompt", "it holds messages"
        if "prompts" in value and any(key in value for key in _PROMPTFOO):
            return "promptfoo", "it holds prompts, and what promptfoo calls providers or tests"
    if is_registry(source):
        return "oaieval", "it names a class of openai/evals"
    raise _unknown(source)


def _data(source: Path) -> tuple[str, str]:
    if kind_of(source) == ".json":
        value = document(source)
        if is_log(value):
            return "inspect", "it is a log: it holds eval, status and samples"
        if any(is_dump(one) for one in _inner(value)):
            return "openai-evals", "it holds an eval and its runs"
        if isinstance(value, Mapping) and "prompts" in value and any(key in value for key in _PROMPTFOO):
            return "promptfoo", "it holds prompts, and what promptfoo calls providers or tests"
    first = next(records(source, ProofSheet())).value
    both = (first.get("request"), first.get("response"))
    if all(isinstance(one, Mapping) for one in both) or first.keys() >= _WHO_AND_WHEN:
        hint = f"they go into production's log, not into a dataset: evalh import calls {shlex.quote(str(source))}"
        raise UsageError("holds recorded calls or workflows", where=str(source), hint=hint)
    return _by_keys(list(first), first)


def _inner(value: JsonValue) -> Sequence[JsonValue]:
    if isinstance(value, list):
        return value
    return [value, *value.values()] if isinstance(value, Mapping) else []


def _by_keys(keys: Sequence[str], first: Mapping[str, JsonValue]) -> tuple[str, str]:
    """Tell rows apart by the names of their columns."""
    have = set(keys)
    if any(key.startswith("__expected") for key in keys):
        raise UsageError("holds tests of promptfoo", hint="import the config that names it: evalh import promptfoo …")
    if isinstance(first.get("item"), Mapping) and (have <= {"item", "sample"} or "data_source_idx" in have):
        return "openai-evals", "each row holds an item"
    if {"input", "ideal"} <= have:
        return "oaieval", "each row holds input and ideal"
    if "input" in have and have.intersection(_LANGFUSE):
        return "langfuse-dataset", f"each row holds input and {next(one for one in _LANGFUSE if one in have)}"
    if {"input", "target"} <= have:
        return "inspect", "each row holds input and target"
    return "rows", f"its columns are {', '.join(keys[:8])}"
