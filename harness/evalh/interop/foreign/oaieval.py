"""The registry of the open `openai/evals`: an eval's samples, and the class that judges them."""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from evalh.core.errors import EvalhError, UsageError
from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.bodies import is_conversation, tell_left_out
from evalh.interop.foreign.langfuse_dataset import inputs_of
from evalh.interop.foreign.rows import name_of, with_id
from evalh.interop.foreign.tables import Record, kind_of, records
from evalh.interop.foreign.transfer import (
    CaseIds,
    Fidelity,
    ImportRequest,
    NewDataset,
    NewVersion,
    ProofSheet,
    Row,
    Subject,
    Transfer,
    slug,
)
from evalh.workspace.yaml import parse_yaml

_LARGEST = 4 * 2**20
_FUZZY = """
const plain = (text) => text.toLowerCase().replace(/[!"#$%&'()*+,\\-./:;<=>?@[\\\\\\]^_`{|}~]/g, "")
  .replace(/\\b(a|an|the)\\b/g, " ").split(/\\s+/).filter(Boolean).join(" ");
const found = plain(String(output));
const ideals = [].concat(context.expected).map(plain);
return ideals.some((one) => (one && found ? found.includes(one) || one.includes(found) : one === found));
"""
_LEFT = {
    "ModelBasedClassify": "is judged by a model",
    "MultipleChoice": "shuffles its choices at random",
}


def read_suite(request: ImportRequest) -> Transfer:
    """Read an eval of the registry (YAML), or a file of its samples (JSON Lines). Raises EvalhError."""
    transfer = Transfer(sheet=ProofSheet())
    if request.source.suffix not in (".yaml", ".yml"):
        _add(transfer, name_of(request), request.source, None, "Match", {})
        return transfer
    value = parse_yaml(_text(request.source), request.source.name, foreign=True)
    found = value.value if isinstance(value.value, Mapping) else {}
    for key, entry in found.items():
        cls = entry.get("class") if isinstance(entry, Mapping) else None
        if not isinstance(cls, str):
            continue
        args = entry.get("args") if isinstance(entry.get("args"), Mapping) else {}
        name, where = slug(key), value.where(key)
        kind = cls.rpartition(":")[2]
        samples = args.get("samples_jsonl")
        if kind not in ("Match", "Includes", "FuzzyMatch") or not isinstance(samples, str):
            why = _LEFT.get(kind, "is a program")
            do = "import its samples: evalh import rows FILE --map messages=input,expected=ideal"
            tell_left_out(transfer.sheet, where, f"{key}: {cls}", why, do)
            continue
        _add(transfer, name, _data(request.source, samples, where), where, kind, args)
    if not transfer.datasets:
        raise UsageError("holds no eval that can be imported", where=str(request.source))
    return transfer


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()[: _LARGEST + 1]
    except OSError as exc:
        raise UsageError(f"cannot be read: {exc.strerror or exc}", where=str(path)) from None
    if len(data) > _LARGEST:
        raise UsageError("is larger than 4 MB", where=str(path))
    return data.decode("utf-8", "replace")


def _data(registry: Path, samples: str, where: str) -> Path:
    """Return the file of samples: beside the eval, or in the registry's data folder."""
    folders = (registry.parent, registry.parent.parent / "data")
    found = next((one / samples for one in folders if (one / samples).is_file()), None)
    if found is None or not found.resolve().is_relative_to(registry.resolve().parent.parent):
        raise UsageError(
            f"no file {samples!r} in the registry", where=where, hint="git clone …/openai/evals; git lfs pull"
        )
    return found


def _add(
    transfer: Transfer, name: str, path: Path, where: str | None, kind: str, args: Mapping[str, JsonValue]
) -> None:
    """Add the prompt, the rows and the suite of one eval."""
    sheet = transfer.sheet
    stream = records(path, sheet)
    first = next(stream)
    if "input" not in first.value or "ideal" not in first.value:
        raise UsageError("is not a file of samples: a row needs input and ideal", where=first.where)
    where = where or path.name
    if args.get("num_few_shot"):
        why = "the source draws examples at random; write some into the prompt"
        sheet.add(Fidelity.NOT, where, "num_few_shot", why, subject=Subject.PROMPT)
    talks = is_conversation(first.value["input"])
    transfer.prompts[name] = [NewVersion("{{history}}" if talks else "{{input}}")]
    transfer.datasets.append(NewDataset(name, _rows(chain([first], stream), kind, sheet)))
    graders: dict[str, JsonValue] = {
        "Match": "case",
        "Includes": {"contains": {"expected": "$", "match": "any", **_ignoring(args)}},
        "FuzzyMatch": {"javascript": {"code": _FUZZY.strip()}},
    }
    sheet.add(Fidelity.SAME, where, f"{kind}", subject=Subject.GRADER)
    transfer.suites[name] = {"prompt": name, "dataset": name, "graders": [graders[kind]]}


def _ignoring(args: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {"ignore_case": True} if args.get("ignore_case") is True else {}


def _rows(stream: Iterator[Record], kind: str, sheet: ProofSheet) -> Iterator[Row]:
    ids = CaseIds(sheet)
    for record in stream:
        asked = record.value.get("input")
        row: Row = {"inputs": inputs_of(asked) if is_conversation(asked) else {"input": asked}}
        ideal = record.value.get("ideal")
        row["expected"] = ideal
        if kind == "Match":
            ideals = [one for one in (ideal if isinstance(ideal, list) else [ideal]) if isinstance(one, str)]
            row["graders"] = [{"regex": f"(?s)^(?:{'|'.join(map(re.escape, ideals))})"}]
        yield with_id(row, None, ids, record.where)


def is_registry(source: Path) -> bool:
    """Whether a YAML file states evals of the registry."""
    if kind_of(source) not in (".yaml", ".yml"):
        return False
    try:
        value = parse_yaml(_text(source), source.name, foreign=True).value
    except EvalhError:
        return False
    entries = value.values() if isinstance(value, Mapping) else ()
    return any(isinstance(one, Mapping) and str(one.get("class", "")).startswith("evals.") for one in entries)
