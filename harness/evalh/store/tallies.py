"""Counting the decisions of runs."""

import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from sqlite3 import Row

from evalh.core.attempt import CallKey
from evalh.core.log import FirstAnswer
from evalh.core.money import from_stored
from evalh.core.sample import Standing
from evalh.core.tallies import Tallies, Tally
from evalh.store.columns import read_json, restored, restored_or_none
from evalh.store.restore import case_from, completion_from

Ask = Callable[..., list[Row]]

# What a decision led to is told by the reason of the attempts that followed it.
_LED_TO = {"retry": "retry", "repair": "repair", "fallback": "fallback", "escalate": "escalation"}

_RUNS = "select value from json_each(:runs)"
_DECISIONS = f"""select d.kind, count(*) as taken,
  count(distinct d.call_id) filter (where c.answered_by is not null) as ok
from decisions d left join calls c on c.id = d.call_id where d.run_id in ({_RUNS}) group by d.kind"""  # noqa: S608 (ours)
_ATTEMPTS = f"""select reason, case when count(*) = count(cost_usd) then sum(cost_usd) end as usd
from attempts where run_id in ({_RUNS}) group by reason"""  # noqa: S608
_ERRORS = f"""select error_kind, count(*) as n from attempts
where run_id in ({_RUNS}) and error_kind is not null group by error_kind"""  # noqa: S608
_UNANSWERED = f"""select error_kind, count(*) as n from samples
where run_id in ({_RUNS}) and error_kind is not null group by error_kind"""  # noqa: S608
# A route whose every request the log answered sent nothing. What its decisions led to was paid for by another run.
_REPLAYED = f"""select kind, count(*) as taken,
  case when count(*) = count(usd) then sum(usd) end as usd
from (select distinct d.kind, d.call_id, (select cost_usd from attempts where id = c.answered_by) as usd
  from decisions d join calls c on c.id = d.call_id
  where d.run_id in ({_RUNS}) and c.attempts = 0) group by kind"""  # noqa: S608
_CALLS = f"""select count(*) filter (where not from_log) as sent, count(*) filter (where from_log) as hits
from (select cache_hit or (answered_by is not null and attempts = 0) as from_log, run_id, purpose from calls)
where run_id in ({_RUNS}) and purpose = 'task'"""  # noqa: S608
_STOPPED = f"select count(*) as n from runs where id in ({_RUNS}) and status = 'stopped'"  # noqa: S608

_FIRST = f"""select r.suite, r.settings, s.standing, k.id, k.inputs, k.expected, k.tags, k.cluster, a.*
from decisions d
join calls c on c.id = d.call_id
join runs r on r.id = d.run_id
join samples s on s.call_id = c.id
join cases k on k.id = s.case_id and k.digest = s.case_digest
join attempts a on a.id = json_extract(d.detail, '$.answer')
where d.kind = 'escalate' and d.run_id in ({_RUNS})"""  # noqa: S608


def tallies(ask: Ask, run_ids: Sequence[str]) -> Tallies:
    """Count what happened in these runs."""
    runs = {"runs": json.dumps(list(run_ids))}
    usd = {row["reason"]: from_stored(row["usd"]) for row in ask(_ATTEMPTS, runs)}
    replayed = {row["kind"]: row for row in ask(_REPLAYED, runs)}
    decisions = {
        row["kind"]: Tally(
            row["taken"],
            usd.get(_LED_TO.get(row["kind"], ""), Tally().cost_usd),
            row["ok"],
            *_replayed(replayed.get(row["kind"])),
        )
        for row in ask(_DECISIONS, runs)
    }
    calls = ask(_CALLS, runs)[0]
    return Tallies(
        runs=len(run_ids),
        calls=calls["sent"],
        from_log=calls["hits"],
        stopped=ask(_STOPPED, runs)[0]["n"],
        decisions=decisions,
        errors={row["error_kind"]: row["n"] for row in ask(_ERRORS, runs)},
        unanswered={row["error_kind"]: row["n"] for row in ask(_UNANSWERED, runs)},
    )


def _replayed(row: Row | None) -> tuple[int, Decimal | None]:
    return (0, Decimal(0)) if row is None else (row["taken"], from_stored(row["usd"]))


def first_answers(stream: Callable[..., Iterator[Row]], run_ids: Sequence[str]) -> Iterator[FirstAnswer]:
    """Yield the answers that were in doubt."""
    for row in stream(_FIRST, {"runs": json.dumps(list(run_ids))}):
        case = case_from(row)
        yield FirstAnswer(
            suite=restored(row["suite"]),
            case=case,
            completion=completion_from(row),
            output_schema=read_json(row["settings"]).get("output_schema"),
            standing=Standing(row["standing"]),
            key=CallKey(case.id, row["trial"], restored_or_none(row["step"]), row["draw"]),
        )
