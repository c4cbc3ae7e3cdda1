"""What one transaction writes: items from the engine, grouped by statement.

Runs in the writer's thread; the caller only queues values.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias

from msgspec import Struct, field

from evalh.core.attempt import AttemptEnd, AttemptStart, Call, CallError, Decision, ErrorKind, Purpose
from evalh.core.log import ComparisonRow, GateRow
from evalh.core.request import Settings
from evalh.core.run import RunRecord, RunStatus, RunSummary
from evalh.core.sample import Sample, StepResult
from evalh.core.values import Value
from evalh.store import rows, step_rows
from evalh.store.columns import Instants, json_text
from evalh.store.rows import Row

_ORDER = (
    rows.INSERT_RUN,
    rows.INSERT_VERSION,
    step_rows.INSERT_RUN_STEP,
    rows.INSERT_ERROR,  # a call's failed attempts come before its answer
    rows.INSERT_OK,
    rows.INSERT_SENT,
    rows.UPDATE_OK,
    rows.UPDATE_ERROR,
    rows.INSERT_CASE,
    rows.INSERT_CALL,
    rows.INSERT_SAMPLE,
    step_rows.INSERT_PIPELINE_SAMPLE,
    rows.INSERT_VERDICT,
    step_rows.INSERT_TEXT,
    step_rows.INSERT_STEP_RESULT,
    step_rows.INSERT_STEP_VERDICT,
    rows.INSERT_DECISION,
    rows.INSERT_COMPARISON,
    rows.INSERT_GATE,
    rows.GIVE_UP,
    rows.FINISH_RUN,
)
STATEMENTS = frozenset(_ORDER)
"""All that is ever written."""

_SETTINGS_KEPT = (
    64  # settings are built once per step or judge; a caller that builds them per call must not fill memory
)


class NewSample(Value):
    """The arguments of `Store.add_sample`."""

    run_id: str
    sample: Sample
    call: Call | None


class Concluded(Value):
    """The argument of `CallLog.conclude`."""

    call: Call
    cache_hit: bool


class Finish(Value):
    """The arguments of `Store.finish_run`."""

    run_id: str
    status: RunStatus
    summary: RunSummary | None  # None: the run was left without one
    reason: str | None
    at: float  # seconds since the epoch, UTC


Statement: TypeAlias = tuple[str, list[Row]]
Item: TypeAlias = (
    AttemptStart | AttemptEnd | NewSample | Concluded | Decision | ComparisonRow | GateRow | RunRecord | Finish
)


class WriterMemory(Struct):
    """What the writer remembers between batches; small for runs of any length."""

    in_flight: set[str] = field(default_factory=set)  # attempts whose row has the status `sent`
    decisions: dict[str, int] = field(default_factory=dict)  # per live run
    settings: dict[int, tuple[Settings, str]] = field(default_factory=dict)  # JSON by identity
    step_settings: dict[str, dict[str, str]] = field(default_factory=dict)  # JSON by live run and step
    instants: Instants = field(default_factory=Instants)


class Batch:
    """Turns items into statements. An attempt that begins and ends within one batch is written once."""

    def __init__(self, memory: WriterMemory) -> None:
        self._memory = memory
        self._begun: dict[str, AttemptStart] = {}
        self._calls: dict[str, tuple[Call, str | None, bool]] = {}  # the last state of a call counts
        self._cases: dict[str, Row] = {}
        self._texts: dict[str, Row] = {}
        self._finished: list[Finish] = []
        self._rows: defaultdict[str, list[Row]] = defaultdict(list)

    def add(self, item: Item) -> None:
        match item:
            case AttemptStart():
                self._begun[item.id] = item
            case AttemptEnd():
                self._end(item)
            case NewSample():
                self._sample(item)
            case Concluded(call, cache_hit):
                self._calls[call.id] = (call, call.answered_by, cache_hit)
            case Decision():
                number = self._memory.decisions.get(item.run_id, 0) + 1
                self._memory.decisions[item.run_id] = number
                self._rows[rows.INSERT_DECISION].append(rows.decision_row(number, item, self._memory.instants))
            case RunRecord():
                self._run(item)
            case GateRow():
                self._rows[rows.INSERT_GATE].append(rows.gate_row(item, self._memory.instants))
            case ComparisonRow():
                self._rows[rows.INSERT_COMPARISON].append(rows.comparison_row(item, self._memory.instants))
            case Finish():
                self._finished.append(item)

    def statements(self) -> Iterator[Statement]:
        """Return the statements, in order. Called once, after everything is added."""
        instants = self._memory.instants
        self._memory.in_flight.update(self._begun)
        self._rows[rows.INSERT_SENT] = [(*rows.sent_row(start, instants), "sent") for start in self._begun.values()]
        self._rows[rows.INSERT_CASE] = list(self._cases.values())
        self._rows[step_rows.INSERT_TEXT] = list(self._texts.values())
        self._rows[rows.INSERT_CALL] = [self._call_row(*state) for state in self._calls.values()]
        for finish in self._finished:
            self._finish(finish)
        return ((sql, self._rows[sql]) for sql in _ORDER if self._rows[sql])

    def _run(self, record: RunRecord) -> None:
        self._rows[rows.INSERT_RUN].append(rows.run_row(record, self._memory.instants))
        self._rows[rows.INSERT_VERSION].append(rows.version_row(record, self._memory.instants))
        if record.steps:
            self._rows[step_rows.INSERT_RUN_STEP] += step_rows.run_step_rows(record)
            self._memory.step_settings[record.id] = {
                one.step: json_text(one.settings_document) for one in record.steps if one.settings_document is not None
            }

    def _end(self, end: AttemptEnd) -> None:
        start, completion = end.start, end.completion
        if completion is not None:
            insert, update, row = rows.INSERT_OK, rows.UPDATE_OK, rows.ok_row(end, completion)
        else:
            error = end.error or CallError(ErrorKind.INTERRUPTED, "no answer")
            insert, update, row = rows.INSERT_ERROR, rows.UPDATE_ERROR, rows.error_row(end, error)
        if start.id in self._memory.in_flight:
            self._memory.in_flight.discard(start.id)
            self._rows[update].append((*row, start.id))
        else:
            self._begun.pop(start.id, None)
            self._rows[insert].append(rows.sent_row(start, self._memory.instants) + row)
        # The call is written with its answer, not with its sample: after a kill between them the request exists. Which
        # of a route's attempts is its answer is known at its end: until then a check may still reject this one.
        answers = completion is not None and start.call.route is None
        self._calls[start.call.id] = (start.call, start.id if answers else None, False)

    def _sample(self, item: NewSample) -> None:
        sample = item.sample
        case = rows.case_row(sample.case)
        self._cases[case[1]] = case
        sample_id = f"{item.run_id}/{case[0]}/{sample.trial}"
        row = rows.sample_row(sample_id, item.run_id, sample, case)
        if sample.steps:
            self._rows[step_rows.INSERT_PIPELINE_SAMPLE].append(row + step_rows.pipeline_columns(sample))
            self._steps(sample_id, sample.steps)
        else:
            self._rows[rows.INSERT_SAMPLE].append(row)
        self._rows[rows.INSERT_VERDICT] += [
            rows.verdict_row(sample_id, position, graded) for position, graded in enumerate(sample.verdicts)
        ]
        if item.call is not None:
            self._calls[item.call.id] = (item.call, sample.attempt_id, sample.cache_hit)

    def _steps(self, sample_id: str, steps: tuple[StepResult, ...]) -> None:
        results, verdicts = self._rows[step_rows.INSERT_STEP_RESULT], self._rows[step_rows.INSERT_STEP_VERDICT]
        for position, result in enumerate(steps):
            results.append(step_rows.step_row(sample_id, position, result, self._texts))
            verdicts += [
                step_rows.step_verdict_row(sample_id, result.step, place, graded)
                for place, graded in enumerate(result.verdicts)
            ]

    def _call_row(self, call: Call, answered_by: str | None, cache_hit: bool) -> Row:  # noqa: FBT001 (from a tuple)
        step = call.key.step
        settings = None
        if step is not None or call.purpose is not Purpose.TASK:
            settings = self._settings_text(call.request.settings)
            if step is not None and settings == self._memory.step_settings.get(call.run_id, {}).get(step):
                settings = None  # as in run_steps
        return rows.call_row(call, answered_by, settings, cache_hit=cache_hit)

    def _settings_text(self, settings: Settings) -> str:
        known = self._memory.settings
        found = known.get(id(settings))
        if found is None:
            if len(known) >= _SETTINGS_KEPT:
                known.clear()
            found = known[id(settings)] = (settings, json_text(settings.document()))
        return found[1]

    def _finish(self, finish: Finish) -> None:
        from msgspec.json import encode

        memory = self._memory
        left = [one for one in memory.in_flight if one.startswith(f"{finish.run_id}:")]
        memory.in_flight.difference_update(left)
        memory.decisions.pop(finish.run_id, None)
        memory.step_settings.pop(finish.run_id, None)
        self._rows[rows.GIVE_UP] += [(one,) for one in left]
        summary = None if finish.summary is None else encode(finish.summary).decode()
        at = memory.instants.text(finish.at)
        row = rows.finish_row(finish.status, finish.reason, at, summary, finish.run_id)
        self._rows[rows.FINISH_RUN].append(row)
