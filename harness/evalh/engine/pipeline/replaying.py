"""A workflow that a program ran, walked once more as a pipeline: each step gives what it gave then, and is graded."""

from msgspec.structs import replace

from evalh.core.attempt import Completion, Latency
from evalh.core.sample import StepState
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import GradeContext, Outcome
from evalh.engine.pipeline.asking import SampleAsking, Trace
from evalh.graders.reading import Unreadable, output_json
from evalh.pipeline.walk import Handed, Settled, text_of


class SampleReplay(SampleAsking):
    """Evaluates one recorded sample. Nobody is asked; a step that the program did not run is skipped."""

    async def _step(self, handed: Handed) -> None:
        name = handed.spec.name
        trace, recorded = self.traces[name], self.tools.pipeline.recorded
        assert recorded is not None
        found = recorded.get(self.case.id, {}).get(name)
        if found is None:
            self.walk.settled[name] = Settled(StepState.SKIPPED, "the program did not run it")
            return
        trace.paid_usd = found.cost_usd
        trace.took = Latency(attempts_ms=found.latency_ms)
        trace.completion = Completion(text=text_of(found.output))
        trace.context = GradeContext(
            case=replace(self.case, inputs=handed.inputs, expected=self.case.gold_of(name)),
            completion=trace.completion,
            output_schema=handed.spec.output_schema,
            latency=trace.took,
            trial=self.trial,
            step=name,
        )
        await self._hold(handed, trace, found.output)

    async def _hold(self, handed: Handed, trace: Trace, output: JsonValue) -> None:
        """Mark what its checks refuse. The program went on, whatever the pipeline would have done about it."""
        name = handed.spec.name
        assert trace.context is not None
        unreadable = None
        if handed.spec.gives_json and isinstance(output, str):
            try:
                output = output_json(trace.context)
            except Unreadable as exc:
                unreadable = exc.verdict.reason
        trace.verdicts += await self.judged(self.tools.pipeline.steps[name].checks, trace.context, trace)
        if unreadable is not None:
            self.walk.unreadable(name, output, unreadable)
            return
        self.walk.give(name, output)
        failed = [one for one in trace.verdicts if one.required and one.verdict.outcome is Outcome.FAIL]
        if failed:
            self.walk.bad[name] = f"{failed[0].grader}: {failed[0].verdict.reason}"
