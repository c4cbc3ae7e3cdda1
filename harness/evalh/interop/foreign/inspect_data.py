"""Inspect's datasets and logs: rows, and of a log the answers too, as a recording.

A task is a program, so its solver and scorers stay where they are; a log says what they gave.
"""

import json
import struct
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from evalh.core.errors import UsageError, WorkspaceError
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.interop.foreign.bodies import is_conversation
from evalh.interop.foreign.langfuse_dataset import inputs_of, tags_of
from evalh.interop.foreign.rows import name_of, with_id
from evalh.interop.foreign.starter import add_starter
from evalh.interop.foreign.tables import Record, document, kind_of, records, unpacked_zstd
from evalh.interop.foreign.transfer import (
    CaseIds,
    Fidelity,
    ImportRequest,
    NewDataset,
    ProofSheet,
    Row,
    Subject,
    Transfer,
    slug,
)
from evalh.workspace.files import decode

_LARGEST_PART = 64 * 2**20  # of a log that is unpacked
_ZSTD = 93
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FINISH = {"stop": "stop", "max_tokens": "length", "model_length": "length", "tool_calls": "tool_calls"}
_FINISH |= {"content_filter": "content_filter"}
_NEEDS_PROGRAM = ("files", "sandbox", "setup")


def read_suite(request: ImportRequest) -> Transfer:
    """Read a dataset's rows, or a log (`.eval` or `.json`). Raises EvalhError."""
    log = _log(request.source)
    if log is not None:
        return _Log(log, request).transfer()
    sheet = ProofSheet()
    stream = records(request.source, sheet)
    first = next(stream)
    if "input" not in first.value:
        raise UsageError("is not a dataset of Inspect: a row has no input", where=first.where, hint="evalh import rows")
    transfer = Transfer(sheet=sheet)
    name = name_of(request)
    transfer.datasets.append(NewDataset(name, _rows(chain([first], stream), sheet)))
    if not request.data_only:
        every = _rows(records(request.source, ProofSheet()), ProofSheet())
        add_starter(transfer, name, every, first.where)
        _tell_program(sheet, first.where)
    return transfer


def is_log(value: JsonValue) -> bool:
    """Whether a document is a log of Inspect."""
    return isinstance(value, Mapping) and isinstance(value.get("eval"), Mapping) and "status" in value


def _tell_program(sheet: ProofSheet, where: str) -> None:
    why = "solver and scorers are a program, and are not imported"
    do = "write the prompt into prompts/, and choose graders: docs/reference/graders.md"
    sheet.add(Fidelity.NOTE, where, "the task", why, subject=Subject.PROMPT, do=do)


def _log(source: Path) -> Mapping[str, JsonValue] | None:
    """Return a log; None if the file is not one."""
    if source.suffix.lower() == ".eval":
        return _unpacked(source)
    if kind_of(source) != ".json" or source.is_dir():
        return None
    value = document(source)
    return value if isinstance(value, Mapping) and is_log(value) else None


def _unpacked(source: Path) -> Mapping[str, JsonValue]:
    """Return the header and the samples of an `.eval` file, which is a zip of JSON files. Raises WorkspaceError."""
    try:
        with zipfile.ZipFile(source) as archive:
            names = sorted(
                name for name in archive.namelist() if name.startswith("samples/") and name.endswith(".json")
            )
            header = _part(archive, "header.json" if "header.json" in archive.namelist() else "_journal/start.json")
            samples = [_part(archive, name) for name in names]
    except FileNotFoundError:
        raise UsageError("no such file", where=str(source)) from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, KeyError, RuntimeError, struct.error) as exc:
        hint = "inspect log convert --to json FILE --output-dir FOLDER, and import that"
        raise WorkspaceError(f"is not a log that can be unpacked: {exc}", where=source.name, hint=hint) from None
    return {"eval": {}, **header, "samples": samples}


def _part(archive: zipfile.ZipFile, name: str) -> dict[str, JsonValue]:
    found = archive.getinfo(name)
    if found.compress_type == _ZSTD and _ZSTD not in _READABLE:
        data = unpacked_zstd(_compressed(archive, found), _LARGEST_PART + 1)
    else:
        with archive.open(found) as file:
            data = file.read(_LARGEST_PART + 1)
    if len(data) > _LARGEST_PART:
        raise WorkspaceError("is larger than 64 MB", where=name)
    try:
        value = parse(decode(data, name))
    except NotStrictJson as exc:
        raise WorkspaceError(f"is not JSON: {exc}", where=name) from None
    return value if isinstance(value, dict) else {}


def _compressed(archive: zipfile.ZipFile, found: zipfile.ZipInfo) -> bytes:
    """Return a part as it is packed: what stands before it says how long its own names are."""
    file = archive.fp
    assert file is not None
    file.seek(found.header_offset)
    _, name, extra = struct.unpack("<26sHH", file.read(30))
    file.seek(name + extra, 1)
    return file.read(min(found.compress_size, _LARGEST_PART))


class _Log:
    """A log on its way into a transfer."""

    def __init__(self, log: Mapping[str, JsonValue], request: ImportRequest) -> None:
        about = log.get("eval")
        self._about: Mapping[str, JsonValue] = about if isinstance(about, Mapping) else {}
        listed = log.get("samples")
        samples = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
        self._samples = [one for one in samples if one.get("input") is not None]
        self._where = request.source.name
        self._request = request
        if not self._samples:
            raise UsageError("holds no samples", where=self._where, hint="a log of a whole evaluation holds them")

    def transfer(self) -> Transfer:
        task = self._about.get("task")
        name = slug(self._request.name or "") or slug(str(task or "").rpartition("/")[2]) or name_of(self._request)
        transfer = Transfer(sheet=ProofSheet())
        ids = CaseIds(transfer.sheet)
        rows: dict[str, Row] = {}
        recorded: list[dict[str, JsonValue]] = []
        talks = any(is_conversation(sample["input"]) for sample in self._samples)
        for sample in self._samples:
            known = str(sample.get("id", ""))
            if known not in rows:
                rows[known] = with_id(row_of(sample, talks=talks), known or None, ids, self._where)
            if (answer := _answer(sample, rows[known]["id"])) is not None:
                recorded.append(answer)
        if any(isinstance(row.get("expected"), list) for row in rows.values()):  # then each row states a list
            for row in rows.values():
                if not isinstance(expected := row.get("expected", []), list):
                    row["expected"] = [expected]
        transfer.datasets.append(NewDataset(name, list(rows.values())))
        if self._request.data_only:
            return transfer
        given = [one["output"] for one in recorded] if recorded else None
        add_starter(transfer, name, rows.values(), self._where, outputs=given)
        _tell_program(transfer.sheet, self._where)
        self._tell_scores(transfer.sheet)
        if recorded:
            path = f"recorded/{name}.jsonl"
            transfer.recordings[path] = recorded
            transfer.models["recorded"] = {"provider": "replay", "path": path}
            transfer.suites[name]["model"] = "recorded"
            trials = max(int(one["trial"]) for one in recorded) + 1
            transfer.suites[name] |= {"trials": trials} if trials > 1 else {}
        return transfer

    def _tell_scores(self, sheet: ProofSheet) -> None:
        """Tell what the log's scorers gave; they are not labels, since nobody has said them."""
        counts: dict[str, Counter[str]] = {}
        for sample in self._samples:
            scores = sample.get("scores")
            for scorer, score in scores.items() if isinstance(scores, Mapping) else ():
                value = score.get("value") if isinstance(score, Mapping) else None
                counts.setdefault(scorer, Counter())[value if isinstance(value, str) else json.dumps(value)[:40]] += 1
        for scorer, counted in counts.items():
            told = ", ".join(f"{value} {count}" for value, count in counted.most_common(8))
            sheet.add(Fidelity.NOTE, self._where, f"scores of {scorer}", told, subject=Subject.GRADER)


def _rows(stream: Iterable[Record], sheet: ProofSheet) -> Iterator[Row]:
    ids = CaseIds(sheet)
    for record in stream:
        for key in _NEEDS_PROGRAM:
            if record.value.get(key):
                why = "is for a program that runs the sample; it is not imported"
                sheet.add(Fidelity.NOT, record.where, key, why, subject=Subject.CASE)
        own = record.value.get("id")
        known = str(own) if isinstance(own, str | int) and not isinstance(own, bool) else None
        yield with_id(row_of(record.value), known, ids, record.where)


def row_of(sample: Mapping[str, JsonValue], *, talks: bool = False) -> Row:
    """Return the row of a sample, without its id. `talks`: a text is the user's message, as others hold messages."""
    asked = sample.get("input")
    if talks and isinstance(asked, str):
        asked = [{"role": "user", "content": asked}]
    inputs = inputs_of(asked) if is_conversation(asked) else {"input": asked}
    choices = _listed(sample.get("choices"))
    if choices:
        lettered = (f"{letter}) {choice}" for letter, choice in zip(_LETTERS, choices, strict=False))
        inputs |= {"choices": "\n".join(lettered)}
    row: Row = {"inputs": inputs}
    target = sample.get("target")
    if target not in (None, "", []):
        row["expected"] = target[0] if isinstance(target, list) and len(target) == 1 else target
    metadata = sample.get("metadata")
    if isinstance(metadata, str):  # a cell of CSV
        try:
            metadata = parse(metadata)
        except NotStrictJson:
            metadata = None
    if tags := tags_of(metadata):
        row["tags"] = tags
    return row


def _listed(choices: JsonValue) -> list[JsonValue]:
    if isinstance(choices, str):
        try:
            choices = parse(choices)
        except NotStrictJson:
            choices = [one.strip() for one in choices.split(",") if one.strip()]
    return choices if isinstance(choices, list) else []


def _answer(sample: Mapping[str, JsonValue], case_id: str) -> dict[str, JsonValue] | None:
    """Return a row of a recording for a sample's output; None if it has none."""
    output = sample.get("output")
    if not isinstance(output, Mapping):
        return None
    listed = output.get("choices")
    choice = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], Mapping) else {}
    text = output.get("completion")
    if not choice and (not text or sample.get("error")):  # nothing was answered
        return None
    if not isinstance(text, str):
        message = choice.get("message")
        text = _text(message.get("content")) if isinstance(message, Mapping) else None
    if text is None:
        return None
    epoch = sample.get("epoch")
    answer: dict[str, JsonValue] = {"id": case_id, "output": text}
    answer["trial"] = epoch - 1 if isinstance(epoch, int) and epoch > 0 else 0
    answer["finish"] = _FINISH.get(str(choice.get("stop_reason")), "other") if choice else "stop"
    if isinstance(model := output.get("model"), str) and model:
        answer["model"] = model
    usage = output.get("usage")
    if isinstance(usage, Mapping):
        counted = {"input_tokens": "input_tokens", "output_tokens": "output_tokens"}
        found = {key: usage[name] for key, name in counted.items() if isinstance(usage.get(name), int)}
        answer |= {"usage": found} if found else {}
    if isinstance(seconds := output.get("time"), int | float):
        answer["latency_ms"] = round(1000 * seconds, 3)
    return answer


def _text(content: JsonValue) -> str | None:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return None
