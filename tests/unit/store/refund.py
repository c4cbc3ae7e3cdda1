"""A builder: runs of the pipeline `refund`, whose first step is wrong, as the engine hands them to the store."""

from decimal import Decimal
from typing import Any

from evalh.core.attempt import Completion, Latency
from evalh.core.case import Case
from evalh.core.request import Settings
from evalh.core.run import StepRecord
from evalh.core.sample import Sample, SampleWord, StepGrade, StepResult, StepState, StepWord, Story
from evalh.core.strict_json import JsonValue
from unit.store.playing import FAIL, PASS, SETTINGS, Play

REPLY_SETTINGS = Settings(model="tiny-2", sent_to={"provider": "scripted"})
STEPS = (
    StepRecord(
        step="extract",
        prompt="extract@v2",
        prompt_digest="sha256:e",
        model="small",
        settings_document=SETTINGS.document(),
    ),
    StepRecord(step="order", function="steps/orders.py:find", function_digest="sha256:f", reads=("extract",)),
    StepRecord(
        step="reply",
        prompt="reply@draft",
        prompt_digest="sha256:r",
        model="careful",
        reads=("order",),
        settings_document=REPLY_SETTINGS.document(),
    ),
    StepRecord(step="log", function="steps/log.py:log", function_digest="sha256:l"),
)
POISONED = Story(word=SampleWord.POISONED, first_bad="extract", responsible=("extract",))


class Pipeline:
    """Plays a run of `refund`: extract, then order (a function), then reply; and log, which reads nothing."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.record = play.start(prompt="refund@draft", steps=STEPS)

    def sample(self, case_id: str = "t-1", **changes: Any) -> Sample:
        play = self.play
        email = changes.pop("email", "Where is 77?")
        extract = play.call(case_id, email, step="extract")
        play.answer(extract, Completion(text='{"order_id": "78"}'))
        extract.answered_by = f"{extract.id}.1"
        play.store.conclude(extract, cache_hit=False)
        reply = play.call(case_id, "write", step="reply", settings=REPLY_SETTINGS)
        play.answer(reply, Completion(text="It is late."), "0.003")
        order: JsonValue = changes.pop("order", {"state": "late"})
        log_usd = Decimal("0.5")
        steps = (
            StepResult(
                step="extract",
                state=StepState.RAN,
                grade=StepGrade.BAD,
                word=StepWord.ORIGIN,
                tainted=True,
                inputs={"email": email},
                output={"order_id": "78"},
                call_id=extract.id,
                attempt_id=extract.answered_by,
                cost_usd=extract.cost_usd,
                attempts=1,
                latency=Latency(101.5, 2.0, 0.5),
                verdicts=(PASS, FAIL),
            ),
            StepResult(
                step="order",
                state=StepState.RAN,
                tainted=True,
                inputs={"order_id": "78"},
                output=order,
                latency=Latency(2.5),
            ),
            StepResult(
                step="reply",
                state=StepState.RAN,
                reason="promises a date",
                grade=StepGrade.BAD,
                word=StepWord.PROPAGATED,
                tainted=True,
                inputs={"email": email, "order": order, "brief": True},
                output="It is late.",
                call_id=reply.id,
                attempt_id=f"{reply.id}.1",
                cost_usd=reply.cost_usd,
                cached_cost_usd=Decimal("0.001"),
                attempts=1,
                latency=Latency(50.0),
            ),
            StepResult(step="log", state=StepState.SKIPPED, reason="when: inputs.loud", cost_usd=log_usd),
        )
        case = Case(case_id, {"email": email}, {"steps": {"extract": {"order_id": "77"}}})
        return play.sample(
            case, reply, (FAIL,), steps=changes.pop("steps", steps), story=changes.pop("story", POISONED), **changes
        )
