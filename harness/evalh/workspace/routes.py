"""`[routes.<name>]` in evalh.toml: the logic around a call, declared."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from evalh.core.attempt import ErrorKind
from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.located import Table, json_of, kind_of
from evalh.core.route import (
    FALLBACK_ON,
    RETRYABLE,
    BreakerPolicy,
    BudgetPolicy,
    CascadePolicy,
    EscalateBy,
    LimitPolicy,
    RepairBy,
    RepairPolicy,
    RetryPolicy,
    Route,
)
from evalh.core.strict_json import JsonValue
from evalh.core.suite import GraderSpec

KEYS: Mapping[str, tuple[str, ...]] = {
    "retry": ("attempts", "on", "base_s", "cap_s", "max_wait_s", "share"),
    "breaker": ("rate", "min", "window_s", "cooldown_s"),
    "limit": ("concurrency", "rpm", "tpm", "max_wait_s"),
    "repair": ("checks", "by", "attempts"),
    "cascade": ("checks", "escalate_to", "by"),
    "budget": ("usd_per_run", "usd_per_case", "tokens_per_run", "deadline_s"),
}
"""The keys of each table in a route."""

_TOP = ("model", "fallback", "fallback_on", *KEYS)
_FALLBACK_KINDS = FALLBACK_ON | {ErrorKind.CONTEXT_LENGTH, ErrorKind.REFUSAL, ErrorKind.CONTENT_FILTER}
Choice = TypeVar("Choice", RepairBy, EscalateBy)


def route(name: str, table: Table) -> Route:
    """Read one route. Raises WorkspaceError with file and line."""
    table.refuse_unknown(_TOP)
    repair, cascade = _part(table, "repair"), _part(table, "cascade")
    return Route(
        name=name,
        model=table.needed_text("model", hint='model = "small"'),
        retry=_retry(_part(table, "retry")),
        breaker=_breaker(table),
        limit=_limit(_part(table, "limit")),
        repair=None if "repair" not in table.values else _repair(repair),
        fallback=table.texts("fallback"),
        fallback_on=_kinds(table, "fallback_on", _FALLBACK_KINDS, FALLBACK_ON),
        cascade=None if "cascade" not in table.values else _cascade(cascade),
        budget=_budget(_part(table, "budget")),
        where=table.where(),
    )


def _part(table: Table, key: str) -> Table:
    part = table.table(key)
    part.refuse_unknown(KEYS[key])
    return part


def _retry(table: Table) -> RetryPolicy:
    base = RetryPolicy()
    return RetryPolicy(
        attempts=table.count("attempts") or base.attempts,
        on=_kinds(table, "on", RETRYABLE, base.on),
        base_s=_seconds(table, "base_s", base.base_s),
        cap_s=_seconds(table, "cap_s", base.cap_s),
        max_wait_s=_seconds(table, "max_wait_s", base.max_wait_s),
        share=_seconds(table, "share", base.share),
    )


def _breaker(table: Table) -> BreakerPolicy | None:
    if table.values.get("breaker") is False:
        return None
    part = _part(table, "breaker")
    base = BreakerPolicy()
    rate = part.number("rate", high=1.0)
    if rate == 0:
        raise WorkspaceError("'rate' must be above 0: every failure would trip it", where=part.where("rate"))
    return BreakerPolicy(
        rate=base.rate if rate is None else float(rate),
        min=part.count("min") or base.min,
        window_s=_seconds(part, "window_s", base.window_s),
        cooldown_s=_seconds(part, "cooldown_s", base.cooldown_s),
    )


def _limit(table: Table) -> LimitPolicy:
    max_wait_s = table.number("max_wait_s")
    return LimitPolicy(
        concurrency=table.count("concurrency"),
        rpm=table.count("rpm"),
        tpm=table.count("tpm"),
        max_wait_s=None if max_wait_s is None else float(max_wait_s),
    )


def _repair(table: Table) -> RepairPolicy:
    return RepairPolicy(
        checks=_checks(table),
        by=_choice(table, "by", RepairBy, RepairBy.FEEDBACK),
        attempts=table.count("attempts") or 1,
    )


def _cascade(table: Table) -> CascadePolicy:
    return CascadePolicy(
        checks=_checks(table),
        escalate_to=table.needed_text("escalate_to", hint='escalate_to = "strong"'),
        by=_choice(table, "by", EscalateBy, EscalateBy.ANEW),
    )


def _budget(table: Table) -> BudgetPolicy:
    deadline_s = table.number("deadline_s")
    return BudgetPolicy(
        usd_per_run=table.number("usd_per_run"),
        usd_per_case=table.number("usd_per_case"),
        tokens_per_run=table.count("tokens_per_run"),
        deadline_s=None if deadline_s is None else float(deadline_s),
    )


def _seconds(table: Table, key: str, default: float) -> float:
    value = table.number(key)
    return default if value is None else float(value)


def _choice(table: Table, key: str, choices: type[Choice], default: Choice) -> Choice:
    text = table.text(key)
    if text is None:
        return default
    try:
        return choices(text)
    except ValueError:
        raise WorkspaceError(
            f"{key!r} cannot be {text!r}", where=table.where(key), hint=f"one of {', '.join(choices)}"
        ) from None


def _kinds(table: Table, key: str, allowed: Iterable[ErrorKind], default: frozenset[ErrorKind]) -> frozenset[ErrorKind]:
    if key not in table.values:
        return default
    known = {kind.value: kind for kind in allowed}
    for text in table.texts(key):
        if text in known:
            continue
        if text in {kind.value for kind in ErrorKind}:
            what = (
                f"{text!r} is not retried: its cause is in the request or the account"
                if key == "on"
                else (f"the next model cannot help with {text!r}")
            )
            raise WorkspaceError(what, where=table.where(key), hint=f"may be declared: {', '.join(sorted(known))}")
        raise WorkspaceError(f"no kind of error {text!r}", where=table.where(key), hint=did_you_mean(text, known))
    return frozenset(known[text] for text in table.texts(key))


def _checks(table: Table) -> tuple[GraderSpec, ...]:
    """Read checks: a grader's kind, or one `kind = parameters` in a table."""
    entries = table.values.get("checks")
    where = table.where("checks")
    if not isinstance(entries, list) or not entries:
        raise WorkspaceError("'checks' must be a list of graders", where=where, hint='checks = ["schema"]')
    return tuple(_check(entry, where) for entry in entries)


def _check(entry: JsonValue, where: str) -> GraderSpec:
    if isinstance(entry, str) and entry:
        return GraderSpec(kind=entry, name=entry, where=where)
    if isinstance(entry, Mapping) and len(entry) == 1:
        kind, params = next(iter(json_of(entry).items()))
        params = params if isinstance(params, Mapping) else {"value": params}
        return GraderSpec(kind=kind, name=kind, params=params, where=where)
    found = kind_of(entry)
    if isinstance(entry, Mapping):
        found += f" of {len(entry)} keys"
    elif entry == "":
        found += " that is empty"
    raise WorkspaceError(
        f"a check is a grader's name or {{name = parameters}}, not {found}",
        where=where,
        hint='checks = ["schema", {contains = "because"}]',
    )
