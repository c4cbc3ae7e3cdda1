"""From a promptfoo config to a transfer."""

from collections.abc import Mapping

from evalh.core.located import Located
from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.promptfoo.sources import SourceFiles, config_file
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
    free_name,
    slug,
)

_ECHO = b"""def echo(prompt):
    return prompt
"""


def read_suite(request: ImportRequest) -> Transfer:
    """Read a config and the files that it names. Raises EvalhError where it cannot be read at all."""
    sheet = ProofSheet()
    path = config_file(request.source)
    files = SourceFiles(path, sheet)
    config = files.document(path.resolve())
    value = config.value if isinstance(config.value, Mapping) else {}
    name = slug(request.name or str(value.get("description") or "")) or slug(files.base.name) or "promptfoo"
    transfer = Transfer(sheet=sheet)
    transfer.prompts[name] = [NewVersion(text) for text in _prompts(value, config, files)]
    transfer.models[free_name("echo", request.taken)] = {"provider": "python", "call": "evals/imported/echo.py:echo"}
    transfer.files["evals/imported/echo.py"] = _ECHO
    transfer.datasets.append(NewDataset(name, _rows(value, config, sheet)))
    transfer.suites[name] = {"prompt": name, "dataset": name, "graders": ["case"]}
    return transfer


def _prompts(value: Mapping[str, JsonValue], config: Located, files: SourceFiles) -> list[str]:
    found: list[str] = []
    for number, prompt in enumerate(value.get("prompts") or ()):
        where = config.where("prompts", number)
        if str(prompt).startswith("file://"):
            found += [files.text(one, where) for one in files.expand(str(prompt), where)]
        else:
            found.append(str(prompt))
    return found


def _rows(value: Mapping[str, JsonValue], config: Located, sheet: ProofSheet) -> list[Row]:
    ids = CaseIds(sheet)
    rows: list[Row] = []
    for number, test in enumerate(value.get("tests") or ()):
        where = config.where("tests", number)
        row: Row = {"id": "", "inputs": dict(test.get("vars") or {})}
        row["id"] = ids.of(row, where, about=test.get("description"))
        if "assert" in test:
            sheet.add(Fidelity.NOT, where, "assert", "is not read yet", subject=Subject.GRADER)
        rows.append(row)
    return rows
