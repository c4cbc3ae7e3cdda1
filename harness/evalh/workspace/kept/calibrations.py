"""Calibrations kept in git: `reports/calibrations/<suite>/<judge>.json`."""

import json
from pathlib import Path
from shlex import quote

import msgspec

from evalh.core.calibration import Calibration
from evalh.core.errors import WorkspaceError
from evalh.core.ports import Tree
from evalh.workspace.files import read_text
from evalh.workspace.writing import new_file

_FOLDER = "reports/calibrations"
_SUFFIX = ".json"


class CalibrationDocument(Calibration, tag_field="schema", tag="evalh.calibration/1", kw_only=True):
    """`evalh calibrate --json`."""


def path_of(suite: str, judge: str) -> str:
    """Return the file of a judge's calibration, relative to the root."""
    safe = "".join(sign if sign.isalnum() or sign in "._-" else "-" for sign in judge)
    return f"{_FOLDER}/{suite}/{safe}.json"


def read_calibration(tree: Tree, suite: str, judge: str) -> Calibration | None:
    """Read a judge's calibration; None: it has none. Raises WorkspaceError for a file that is damaged."""
    path = path_of(suite, judge)
    if not tree.exists(path):
        return None
    try:
        return msgspec.json.decode(read_text(tree, path), type=CalibrationDocument)
    except (msgspec.MsgspecError, ValueError) as exc:
        hint = f"evalh calibrate {quote(judge)} --suite {quote(suite)} writes it again"
        raise WorkspaceError(f"is not a calibration: {exc}", where=path, hint=hint) from None


def calibrated(tree: Tree, suite: str) -> list[str]:
    """Return the judges of a suite that have a calibration, as their files are called."""
    names = tree.names(f"{_FOLDER}/{suite}")
    return [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]


def calibration_document(calibration: Calibration) -> CalibrationDocument:
    """Return the document of `evalh calibrate --json`, which is the file too."""
    return msgspec.convert(calibration, CalibrationDocument, from_attributes=True)


def write_calibration(root: Path, calibration: Calibration) -> Path:
    """Write the file, whole or not at all; return its path. Raises EvalhError if it cannot be written."""
    path = root / path_of(calibration.suite, calibration.judge)
    with new_file(path) as file:
        file.write(json.dumps(msgspec.to_builtins(calibration_document(calibration)), indent=2).encode() + b"\n")
    return path
