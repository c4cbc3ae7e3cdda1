"""Baselines in git: `reports/baselines/<suite>/<version>.<model>.jsonl`, and the outputs beside it, gzipped."""

import gzip
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from evalh.core.digest import JsonValue, digest
from evalh.core.errors import WorkspaceError
from evalh.core.ports import Tree
from evalh.core.values import Value
from evalh.workspace.baseline_shapes import MEND, check_once, check_shapes
from evalh.workspace.reading import label, read_text
from evalh.workspace.writing import new_file

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
    """Read a baseline; None where there is none. Raises WorkspaceError for one that was edited by hand."""
    if not tree.exists(path):
        return None
    name = label(tree, path)
    lines = read_text(tree, path).splitlines()
    try:
        header, *rows = (json.loads(line, parse_constant=_refused) for line in lines)
        whole = header["schema"] == SCHEMA and all(key in header for key in _NEEDED)
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise WorkspaceError("is not a baseline", where=name, hint=MEND)
    outputs = _outputs(tree, path, name)
    check_once(name, rows, outputs if header.get("outputs") else ())  # it says more than a digest that does not fit
    if header["digest"] != _digest(header, rows, outputs if header.get("outputs") else ()):
        what = "was edited, or its outputs were: its digest does not fit"
        raise WorkspaceError(what, where=f"{name}:1", hint=MEND)
    outputs = outputs if header.get("outputs") else []
    check_shapes(name, header, rows, outputs)
    return Baseline(path=path, header=header, rows=rows, outputs=outputs)


def _refused(constant: str) -> JsonValue:
    raise ValueError(constant)  # NaN and its like are no JSON


def _outputs(tree: Tree, path: str, name: str) -> list[JsonValue]:
    place = path.removesuffix(".jsonl") + _OUTPUTS
    if not tree.exists(place):
        return []
    try:
        lines = gzip.decompress(tree.read(place)).splitlines()
        return [json.loads(line, parse_constant=_refused) for line in lines]
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as exc:
        raise WorkspaceError(f"its outputs cannot be read: {exc}", where=name, hint="git checkout them") from None


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
