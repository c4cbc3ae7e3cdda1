"""What an id of the log names: `evalh show`."""

import json
from typing import TYPE_CHECKING

from evalh.api.comparing import view_of
from evalh.core.log import CallRow, CaseDetail, ComparisonRow, GateRow, RunRow

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace


def entry(workspace: "Workspace", name: str) -> tuple[str, object]:
    """Return what an id names, and its kind: run, unfinished, compare, gate, case, sample or call. Raises NotFound."""
    shown = workspace.log.show(name)
    match shown:
        case ComparisonRow():
            named: tuple[str, object] = "compare", view_of(workspace, shown)
        case GateRow():
            named = "gate", {**json.loads(shown.content), "gate": shown.id}  # an older evalh left its id out
        case RunRow() if shown.summary is None:
            named = "unfinished", shown
        case RunRow():
            named = "run", workspace.log.result(shown.record.id)
        case CaseDetail():
            named = "case", shown
        case CallRow():
            named = "call", shown
        case _:
            named = "sample", shown
    return named
