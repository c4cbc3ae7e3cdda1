"""`baseline:` of a suite: how long accepted results are believed, and whether their outputs may lie in git."""

import re
from collections.abc import Mapping
from typing import Any

from evalh.core.errors import WorkspaceError
from evalh.core.policy import BaselinePolicy
from evalh.workspace.located import Table, kind_of

_AGE = re.compile(r"([1-9]\d{0,4}) ?(d|days?|w|weeks?)")
_DAYS_A_WEEK = 7
_WRITE = "max_age: 30d; or 4w"

BASELINE_KEYS: Mapping[str, dict[str, Any]] = {
    "max_age": {
        "type": "string",
        "pattern": f"^{_AGE.pattern}$",
        "description": "How old a baseline may be, such as 30d or 4w; an older one is stale. Default: any age.",
    },
    "outputs": {
        "type": "boolean",
        "description": "Whether outputs may be kept in git beside the results. Default: true.",
    },
}


def baseline_policy(table: Table) -> BaselinePolicy:
    """Read what is under `baseline`. Raises WorkspaceError with file:line."""
    table.refuse_unknown(BASELINE_KEYS)
    outputs = table.values.get("outputs", True)
    if not isinstance(outputs, bool):
        raise WorkspaceError(f"'outputs' must be true or false, not {kind_of(outputs)}", where=table.where("outputs"))
    return BaselinePolicy(max_age_days=_days(table), outputs=outputs)


def _days(table: Table) -> int | None:
    if "max_age" not in table.values:
        return None
    value = table.values["max_age"]
    found = _AGE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise WorkspaceError("'max_age' must be days or weeks", where=table.where("max_age"), hint=_WRITE)
    return int(found[1]) * (_DAYS_A_WEEK if found[2].startswith("w") else 1)
