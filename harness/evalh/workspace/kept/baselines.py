"""Baselines in git: `reports/baselines/<suite>/<version>.<model>.jsonl`, and the outputs beside it, gzipped.

What a baseline's lines hold. The digest tells that nobody edited them; this, that they are what they say.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO, TypeAlias, cast

import msgspec
from msgspec import Meta

from evalh.core.attempt import FinishReason
from evalh.core.digest import digest
from evalh.core.errors import EvalhError, WorkspaceError
from evalh.core.ports import Tree
from evalh.core.sample import Standing
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.core.values import Value
from evalh.core.verdict import Outcome
from evalh.workspace.files import decode, label, read_lines, read_text, unread
from evalh.workspace.writing import new_file

Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Trial: TypeAlias = Annotated[int, Meta(ge=0, le=1000)]
Trials: TypeAlias = Annotated[int, Meta(ge=1, le=1000)]
Milliseconds: TypeAlias = Annotated[float, Meta(ge=0, le=1e12)]
Amount: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,40})?([eE](-[0-9]{1,3}|\+[0-9]))?$")]
Logprob: TypeAlias = Annotated[float, Meta(le=0, ge=-1e12)]

MEND = "git checkout it, or write it again: evalh baseline accept"
"""What helps against a baseline that is none."""


class Fingerprints(msgspec.Struct):
    """Of the run that was accepted."""

    prompt: str
    dataset: str
    graders: str
    model: str
    route: str


class Summary(msgspec.Struct):
    """Its numbers, for people."""

    good_rate: Annotated[float, Meta(ge=0, le=1)] | None = None


class Header(msgspec.Struct):
    """The first line."""

    suite: Text
    prompt: Text
    model: Text
    fingerprint: Fingerprints
    date: Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    trials: Trials
    answering_models: list[Text] = []
    summary: Summary | None = None
    outputs: bool = False


class BaselineRow(msgspec.Struct):
    """One sample."""

    id: str
    trial: Trial
    standing: Standing
    cost_usd: Amount | None
    latency_ms: Milliseconds | None
    output_digest: str | None
    outcomes: dict[str, Outcome]
    row: str
    request: str
    waited_ms: Milliseconds | None = None  # both are missing in baselines of older versions
    checks_ms: Milliseconds | None = None


class Output(msgspec.Struct):
    """One answer."""

    id: str
    trial: Trial
    step: str | None
    output: str
    finish: FinishReason
    usage: tuple[Count | None, Count | None, Count | None, Count | None]
    latency_ms: Milliseconds | None
    model: str | None
    cost_usd: Amount | None
    request: str
    waited_ms: Milliseconds | None = None
    checks_ms: Milliseconds | None = None
    logprobs: tuple[Logprob, Logprob | None, Count | None] | None = None


def check_shapes(name: str, header: JsonValue, rows: Sequence[JsonValue], outputs: Sequence[JsonValue]) -> None:
    """Raise WorkspaceError, with the line, where a baseline holds anything but a baseline."""
    _shaped(Header, header, f"{name}:1")
    for number, row in enumerate(rows, 2):
        _shaped(BaselineRow, row, f"{name}:{number}")
    for number, output in enumerate(outputs, 1):
        _shaped(Output, output, f"{name}: output {number}")


def _shaped(kind: type[msgspec.Struct], value: JsonValue, where: str) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        raise WorkspaceError(f"is not a baseline: {exc}", where=where, hint=MEND) from None


def check_once(name: str, rows: Sequence[JsonValue], outputs: Sequence[JsonValue]) -> None:
    """Raise WorkspaceError, with the line, where a case has a trial twice: a merge of two branches does that."""
    for lines, first, place in ((rows, 2, f"{name}:"), (outputs, 1, f"{name}: output ")):
        seen: dict[tuple[str, int], int] = {}
        for number, line in enumerate(lines, first):
            match line:
                case {"id": str(case_id), "trial": int(trial)}:
                    before = seen.setdefault((case_id, trial), number)
                    if before != number:
                        what = f"case {case_id!r} has trial {trial} twice: here and in line {before}"
                        raise WorkspaceError(what, where=f"{place}{number}", hint=MEND)


SCHEMA = "evalh.baseline/1"
FOLDER = "reports/baselines"
_OUTPUTS = ".outputs.jsonl.gz"
_NEEDED = ("suite", "prompt", "model", "fingerprint", "date", "trials", "digest")


class Baseline(Value, kw_only=True):
    """One accepted version: a header, a row for each sample, and the outputs where they are kept."""

    path: str
    header: Mapping[str, JsonValue]
    rows: Sequence[Mapping[str, JsonValue]]
    outputs: Sequence[Mapping[str, JsonValue]] = ()


def baseline_path(suite: str, version: str, model: str) -> str:
    """Return where a baseline lies."""
    return f"{FOLDER}/{suite}/{version}.{re.sub(r'[^A-Za-z0-9._-]', '-', model)}.jsonl"


def baseline_paths(tree: Tree) -> list[str]:
    """Return every baseline of a tree."""
    suites = [name for name in tree.names(FOLDER) if not tree.exists(f"{FOLDER}/{name}")]
    return [
        f"{FOLDER}/{suite}/{name}"
        for suite in suites
        for name in tree.names(f"{FOLDER}/{suite}")
        if name.endswith(".jsonl")
    ]


def read_baseline(tree: Tree, path: str) -> Baseline | None:
    """Read a baseline; None if there is none. Raises WorkspaceError for one that was edited by hand."""
    if not tree.exists(path):
        return None
    name = label(tree, path)
    header, *rows = _values(enumerate(read_text(tree, path).split("\n"), 1), f"{name}:") or [None]
    if not isinstance(header, dict) or header.get("schema") != SCHEMA or any(key not in header for key in _NEEDED):
        raise WorkspaceError("is not a baseline: its first line is not the header of one", where=f"{name}:1", hint=MEND)
    outputs = _outputs(tree, path, name, len(rows))
    check_once(name, rows, outputs if header.get("outputs") else ())  # it says more than a digest that does not fit
    if header["digest"] != _digest(header, rows, outputs if header.get("outputs") else ()):
        what = "it or its outputs were edited: the digest does not match"
        raise WorkspaceError(what, where=f"{name}:1", hint=MEND)
    outputs = outputs if header.get("outputs") else []
    check_shapes(name, header, rows, outputs)
    return Baseline(path=path, header=header, rows=rows, outputs=outputs)


def baseline_problems(tree: Tree) -> Iterator[EvalhError]:
    """Read every baseline of a tree, one after the other; yield what is wrong with each."""
    try:
        paths = baseline_paths(tree)
    except WorkspaceError as exc:  # a folder that cannot be listed, a link that leads out
        yield exc
        return
    for path in paths:
        try:
            if read_baseline(tree, path) is None:
                yield unread(tree, path, FileNotFoundError())
        except WorkspaceError as exc:
            yield from (exc, *exc.others)


def _values(lines: Iterable[tuple[int, str]], place: str) -> list[JsonValue]:
    """Read one value of JSON a line. Raises WorkspaceError: all lines that are none."""
    values: list[JsonValue] = []
    mistakes = []
    for number, line in lines:
        try:
            if line.strip():
                values.append(parse(line))
        except NotStrictJson as exc:
            mistakes.append(WorkspaceError(f"is not JSON: {exc.in_line}", where=f"{place}{number}", hint=MEND))
    WorkspaceError.raise_all(mistakes)
    return values


def _outputs(tree: Tree, path: str, name: str, samples: int) -> list[JsonValue]:
    """Read the outputs: at most one for each sample, for a small file can unpack to any size."""
    place = path.removesuffix(".jsonl") + _OUTPUTS
    if not tree.exists(place):
        return []
    file = label(tree, place)
    try:
        with gzip.GzipFile(fileobj=BytesIO(tree.read(place))) as packed:
            lines = list(islice(read_lines(cast("BinaryIO", packed), file, 0, 1), samples + 1))
    except (OSError, EOFError, zlib.error) as exc:
        raise WorkspaceError(f"the outputs of the baseline cannot be read: {exc}", where=file, hint=MEND) from None
    if len(lines) > samples:
        what = "it or its outputs were edited: there are more outputs than samples"
        raise WorkspaceError(what, where=f"{name}:1", hint=MEND)
    return _values(((one.line, decode(one.raw, file, one.line)) for one in lines), f"{name}: output ")


def write_baseline(root: Path, baseline: Baseline) -> list[Path]:
    """Write a baseline, and its outputs where it has any; return the files. Raises EvalhError."""
    header = {**baseline.header, "outputs": bool(baseline.outputs)}
    header["digest"] = _digest(header, baseline.rows, baseline.outputs)
    file = root / baseline.path
    outputs = root / (baseline.path.removesuffix(".jsonl") + _OUTPUTS)
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in (header, *baseline.rows))
    if not baseline.outputs:
        with new_file(file) as written:
            written.write(text.encode())
        outputs.unlink(missing_ok=True)
        return [file]
    lines = "".join(json.dumps(one) + "\n" for one in baseline.outputs)
    with new_file(file) as written, new_file(outputs) as packed:  # both are whole before one takes its place
        written.write(text.encode())
        packed.write(gzip.compress(lines.encode(), mtime=0))  # the same content is the same file
    return [file, outputs]


def _digest(header: Mapping[str, JsonValue], rows: Sequence[JsonValue], outputs: Sequence[JsonValue]) -> str:
    return digest([{key: value for key, value in header.items() if key != "digest"}, list(rows), list(outputs)])
