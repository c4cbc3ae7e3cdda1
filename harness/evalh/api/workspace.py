"""`Workspace`: the façade that scripts and tests use, a method for each verb.

The command line calls the modules of the verbs themselves, with the same parts.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from evalh.api.event_loop import in_loop
from evalh.api.options import (
    AcceptOptions,
    CompareOptions,
    DriftOptions,
    GateOptions,
    OtelOptions,
    PowerOptions,
    RunOptions,
)
from evalh.api.parts import Parts
from evalh.api.runs import execute, forecasts
from evalh.core.errors import UsageError
from evalh.core.ports import Progress
from evalh.core.run import Forecast, RunResult
from evalh.core.strict_json import JsonValue
from evalh.engine.selection import Selection

if TYPE_CHECKING:
    from evalh.analysis.compare.comparison import Comparison
    from evalh.analysis.drift import Drift
    from evalh.analysis.gate.decision import GateDecision
    from evalh.analysis.power import Power
    from evalh.api.baselines import Accepted
    from evalh.api.check import CheckOutcome
    from evalh.api.doctor import Symptom
    from evalh.api.explain import Explained
    from evalh.api.labels import Labelling
    from evalh.api.otel import Exported
    from evalh.core.calibration import Calibration
    from evalh.core.log import CallRow
    from evalh.store.production import ProductionReader, ProductionWriter


class Workspace(Parts):
    """One workspace, with a method for each verb. They raise EvalhError, and KeyboardInterrupt."""

    def run(  # noqa: PLR0913 (a script's convenience: everything but the suite has a default)
        self,
        suite: str | None = None,
        *,
        prompt: str | None = None,
        model: str | None = None,
        trials: int | None = None,
        selection: Selection | None = None,
        concurrency: int | None = None,
        fresh: bool = False,
    ) -> RunResult:
        """Run one suite for one version and model. Raises EvalhError; a failed model call is in the result."""
        options = RunOptions(
            target=suite,
            prompts=(prompt,) if prompt else (),
            models=(model,) if model else (),
            trials=trials,
            selection=selection or Selection(),
            concurrency=concurrency,
            fresh=fresh,
        )
        results = self.run_all(options)
        if len(results) != 1:
            raise UsageError(f"{suite!r} names {len(results)} suites", hint="use run_all, or name one suite")
        return results[0]

    def run_all(self, options: RunOptions, progress: Progress | None = None) -> list[RunResult]:
        """Run every pair of version and model."""
        return execute(self, self.plans(options), options, progress)

    def plan_all(self, options: RunOptions) -> list[tuple[str, str, str, Forecast]]:
        """Return what a run would send and cost at most: (suite, prompt, model, forecast) for every pair."""
        return forecasts(self, self.plans(options), fresh=options.fresh)

    def compare(self, base: str, head: str | None = None, **asked: Any) -> "Comparison":
        """Compare two sides; `asked` are the fields of `api.options.CompareOptions`."""
        from evalh.api.compare import compared

        return compared(self, CompareOptions(base=base, head=head, **asked)).comparison

    def gate(self, progress: Progress | None = None, **asked: Any) -> "GateDecision":
        """Decide whether a change may be merged; `asked` are the fields of `api.options.GateOptions`."""
        from evalh.api.gate import gate

        return gate(self, GateOptions(**asked), progress)

    def accept(self, ref: str | None = None, **asked: Any) -> "list[Accepted]":
        """Accept a version's results as baselines; `asked` are the fields of `api.options.AcceptOptions`."""
        from evalh.api.baselines import accept

        return accept(self, AcceptOptions(ref=ref, **asked))

    def drift(self, *suites: str, **asked: Any) -> "list[Drift]":
        """Ask baselines again; `asked` are the fields of `api.options.DriftOptions`."""
        from evalh.api.drift import drift

        return drift(self, DriftOptions(suites=suites, **asked))

    def calibrate(self, judge: str, suite: str | None = None) -> "Calibration":
        """Compare a judge with people's labels."""
        from evalh.api.calibrate import calibrate

        return calibrate(self, judge, suite)

    def label(self, suite: str | None = None, **asked: Any) -> "Labelling":
        """Collect outputs for a person to label; `asked`: about, author, and the fields of `api.labels.LabelSource`."""
        from evalh.api.labels import LabelSource, labelling

        who = {name: asked.pop(name) for name in ("about", "author") if name in asked}
        return labelling(self, suite, source=LabelSource(**asked), **who)

    def doctor(self) -> "list[Symptom]":
        """Return what this machine has and what is missing."""
        from evalh.api.doctor import examine

        return examine(self.root)

    def check(self) -> "CheckOutcome":
        """Check every file of the workspace; nothing is sent."""
        from evalh.api.check import check_workspace

        return check_workspace(self)

    def power(self, suite: str | None = None, **asked: Any) -> "Power":
        """Return how many cases show which drop; `asked` are the fields of `api.options.PowerOptions`."""
        from evalh.api.power import planned

        return planned(self, PowerOptions(suite=suite, **asked))

    def explain(self, name: str | None = None, last: int = 5) -> "list[Explained]":
        """Return, in plain words, what is decided during a call, and how often each decision was taken."""
        from evalh.api.explain import explained

        return explained(self, name, last)

    def report(self, *runs: str) -> str:
        """Return runs as one HTML page."""
        from evalh.api.report import page

        return page(self, runs)

    def log_entry(self, name: str) -> tuple[str, object]:
        """Return the kind and the content of what an id names; see `api.report.entry`. Raises NotFound."""
        from evalh.api.report import entry

        return entry(self, name)

    def calls(self, which: str, run: str | None, limit: int) -> "list[CallRow]":
        """Return calls of the log: all, errors, slow or retried. Raises NotFound for an unknown run."""
        from evalh.store import CallFilter

        run_id = None if run is None else self.log.run(run).record.id
        return self.log.calls(CallFilter(which), run_id, limit)

    @property
    def production(self) -> "ProductionReader":
        """The production data that was traced so far. Raises NotFound if there is none."""
        from evalh.api.production import production

        return production(self)

    def production_writer(self) -> "AbstractContextManager[ProductionWriter]":
        """Open the production data for writing, in a `with` block. Raises StoreError, WorkspaceError."""
        from evalh.api.production import production_writer

        return production_writer(self)

    def forget(self, whose: str, name: str) -> int:
        """Delete the workflows of a `user` or a `session`. Raises StoreError, WorkspaceError, CannotMeasure."""
        from evalh.api.production import forget

        return forget(self, whose, name)

    def recording(self, run: str) -> Iterator[dict[str, JsonValue]]:
        """Yield a run's answers as rows of a recording. Raises NotFound."""
        return self.log.recording(self.log.run(run).record.id)

    def export_otel(self, run: str, options: OtelOptions, watch: Callable[[int], None]) -> "Exported":
        """Send a run as spans to an OpenTelemetry collector; `watch` gets the number accepted so far.

        Raises NotFound, UsageError; CannotMeasure if there is no collector, or if it refuses.
        """
        from evalh.api.otel import export

        return in_loop(export(self, run, options, watch))
