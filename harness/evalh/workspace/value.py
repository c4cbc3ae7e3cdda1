"""`value:` of a suite: what bad outputs, reviews and withheld answers cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.suite import GraderSpec
from evalh.core.value import OutcomePrices, OutputValue
from evalh.workspace.located import Table

_USD = {"type": "number", "minimum": 0}

VALUE_KEYS: Mapping[str, dict[str, Any]] = {
    "bad_usd": {**_USD, "description": "What a bad output costs that is taken for good, in USD. Default: 0."},
    "review_usd": {**_USD, "description": "What it costs that a person looks at an output, in USD. Default: 0."},
    "abstain_usd": {**_USD, "description": "What it costs that no output is given, in USD. Default: 0."},
    "review": {
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "description": "The graders whose `fail` sends an output to a person. Default: those that are not required.",
    },
}


def read_value(table: Table, graders: Sequence[GraderSpec]) -> OutputValue | None:
    """Read what stands under `value` of a suite's table; None: nothing. Raises WorkspaceError with file:line."""
    if "value" not in table.values:
        return None
    own = table.table("value")
    own.refuse_unknown(VALUE_KEYS)
    bad, review, abstain = (_usd(own, key) for key in ("bad_usd", "review_usd", "abstain_usd"))
    if "review" in own.values:
        names = own.texts("review")
        known = [grader.name for grader in graders]
        for number, name in enumerate(names):
            if name not in known:
                what = f"the suite has no grader {name!r}"
                raise WorkspaceError(what, where=own.where("review", number), hint=did_you_mean(name, known))
    else:
        names = tuple(grader.name for grader in graders if not grader.required)
    return OutputValue(
        prices=OutcomePrices(bad_usd=bad, review_usd=review, abstain_usd=abstain),
        review=frozenset(names),
        where=own.where(),
    )


def _usd(table: Table, key: str) -> float:
    amount = table.number(key)
    return 0.0 if amount is None else float(amount)
