"""Adding up what attempts cost."""

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from sqlite3 import Row

from evalh.core.money import from_stored
from evalh.core.spending import Spend, SpendBy
from evalh.store.columns import restored

_NOBODY = "(no owner)"

# Attempts and answers from the log know their groups by different columns.
# What judges of two outputs were asked belongs to no run.
_GROUPS = {
    SpendBy.SUITE: ("case when r.id is null then '(comparisons)' else r.suite end", "r.suite"),
    SpendBy.OWNER: ("case when r.id is null then '(comparisons)' else r.owner end", "r.owner"),
    SpendBy.MODEL: ("a.model", "coalesce((select model from attempts where id = c.answered_by), r.model)"),
    SpendBy.PURPOSE: ("a.purpose", "c.purpose"),
    SpendBy.VERSION: ("case when r.id is null then '(comparisons)' else r.prompt end", "r.prompt"),
}
_SPENT = """select {group} as grouped, a.purpose, count(*) as attempts, count(*) - count(a.cost_usd) as unpriced,
  total(a.cost_usd) as usd, total(a.cost_usd) filter (where a.number > 1 or a.status <> 'ok') as retries,
  count(*) filter (where (a.number > 1 or a.status <> 'ok') and a.cost_usd is null) as unpriced_retries,
  total(a.cost_usd) filter (where a.estimated) as estimated
from attempts a left join runs r on r.id = a.run_id where a.started_at >= ? group by 1, 2"""
_SAVED = """select {group} as grouped, count(*) as hits,
  case when count(*) = count(c.cached_cost_usd) then total(c.cached_cost_usd) end as usd
from calls c join runs r on r.id = c.run_id where c.cache_hit and r.started_at >= ? group by 1"""


def spending(ask: Callable[..., list[Row]], by: SpendBy, since: str) -> list[Spend]:
    """Sum every attempt since an instant (UTC text) in groups; the dearest group first."""
    attempts, hits = (sql.format(group=group) for sql, group in zip((_SPENT, _SAVED), _GROUPS[by], strict=True))
    spent: defaultdict[str | None, list[Row]] = defaultdict(list)
    for row in ask(attempts, since):
        spent[row["grouped"]].append(row)
    saved = {row["grouped"]: row for row in ask(hits, since)}
    lines = [_line(group, spent[group], saved.get(group)) for group in spent.keys() | saved.keys()]
    return sorted(lines, key=lambda line: (-line.priced_usd, line.group))


def _line(group: str | None, rows: list[Row], saved: Row | None) -> Spend:
    return Spend(
        group=_NOBODY if group is None else restored(group),
        attempts=sum(row["attempts"] for row in rows),
        unpriced=sum(row["unpriced"] for row in rows),
        by_purpose={row["purpose"]: _usd(row["usd"]) for row in rows},
        unpriced_by_purpose={row["purpose"]: row["unpriced"] for row in rows},
        unpriced_retries=sum(row["unpriced_retries"] for row in rows),
        retries_usd=_usd(sum(row["retries"] for row in rows)),
        estimated_usd=_usd(sum(row["estimated"] for row in rows)),
        from_log=0 if saved is None else saved["hits"],
        saved_usd=Decimal(0) if saved is None else from_stored(saved["usd"]),
    )


def _usd(amount: float) -> Decimal:
    return from_stored(amount) or Decimal(0)
