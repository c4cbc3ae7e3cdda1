"""What an id of the log names: `evalh show`."""

from typing import TYPE_CHECKING

from evalh.api.comparing import view_of
from evalh.core.log import CallRow, CaseDetail, ComparisonRow, RunRow

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace


def entry(workspace: "Workspace", name: str) -> tuple[str, object]:
    """Return what an id names, and its kind: run, unfinished, compare, case, sample or call. Raises NotFound."""
    shown = workspace.log.show(name)
    match shown:
        case ComparisonRow():
            return "compare", view_of(workspace, shown)
        case RunRow() if shown.summary is None:
            return "unfinished", shown
        case RunRow():
            return "run", workspace.log.result(shown.record.id)
        case CaseDetail():
            return "case", shown
        case CallRow():
            return "call", shown
        case _:
            return "sample", shown
