"""What a user asks of a verb, as values: the command line and scripts make them."""

from pathlib import Path

from msgspec import field

from evalh.analysis.blame import Design
from evalh.analysis.matrix import MatrixOrder
from evalh.core.values import Value
from evalh.engine.plan import AskOptions
from evalh.engine.selection import Selection


class RunOptions(AskOptions, kw_only=True):
    """What a user asks of `evalh run`."""

    target: str | None = None  # a suite, or a prompt version: every suite of that prompt; None: the default suite
    prompts: tuple[str, ...] = ()  # references; none: the target's version, else draft or live
    models: tuple[str, ...] = ()  # workspace names, of a step extract=NAME; none: the suite's
    trials: int | None = None  # None: the suite's
    selection: Selection = field(default_factory=Selection)
    steps: tuple[str, ...] = ()  # other versions of a pipeline's steps: extract=v2
    given: tuple[str, ...] = ()  # doubles of steps: extract=expected, extract=RUN
    allow_effects: bool = False  # call functions that have effects


class GradeOptions(AskOptions, kw_only=True):
    """What a user asks of `evalh grade --production`."""

    suite: str | None = None  # None: the default suite
    since: str | None = None  # an instant of the log's form; None: everything
    against: str | None = None  # an earlier instant: what lies between the two is compared with what came after
    feedback: str | None = None  # good, bad or none: only workflows of which users said so
    sample: int | None = None  # workflows, drawn by `seed`; None: all
    seed: int = 1


class CompareOptions(AskOptions, kw_only=True):
    """What a user asks of `evalh compare`."""

    base: str
    head: str | None = None  # None: base's version; the two models differ then
    suite: str | None = None
    models: tuple[str, ...] = ()  # one: both sides'; two: base's, head's
    trials: int | None = None
    selection: Selection = field(default_factory=Selection)
    margin: float | None = None  # None: the suite's
    intersection: bool = False
    pass_at: int | None = None
    confirm: bool = False
    prefer: bool = True  # ask the suite's `compare:` entries
    examples: int = 3  # cases of each kind that are shown side by side


class MatrixOptions(Value, kw_only=True):
    """What a user asks of `evalh matrix`."""

    names: tuple[str, ...] = ()  # a suite, or runs; none: the default suite
    prompts: tuple[str, ...] = ()  # only columns of these versions: v3, triage@v3; none: all
    models: tuple[str, ...] = ()  # only columns of these models; none: all
    step: str | None = None  # of a pipeline; None: the results
    every: bool = False  # cases whose verdicts do not differ, too
    search: str | None = None
    order: MatrixOrder = MatrixOrder.DISAGREEMENT
    limit: int = 20


class GateOptions(AskOptions, kw_only=True):
    """What a user asks of `evalh gate`."""

    base: str | None = None  # a revision; None: [workspace] base, else the remote's HEAD
    head: str | None = None  # a revision; None: the work tree
    suites: tuple[str, ...] = ()  # none: all
    model: str | None = None  # instead of what each side's own suite names
    trust_base: bool = False
    allow_dataset_change: bool = False
    allow_suite_change: bool = False
    confirm: bool = False  # ask again what got worse, on both sides
    earlier: Path | None = None  # the comment that an earlier gate of the same pull request left


class DriftOptions(AskOptions, kw_only=True):
    """What a user asks of `evalh drift`."""

    suites: tuple[str, ...] = ()  # none: every suite that has a baseline
    prompt: str | None = None  # a version; None: the one in use, else the one that was accepted last
    model: str | None = None
    cases: int | None = None  # None: all
    alpha: float = 0.01  # a nightly job's false alarm wakes somebody: one night in 100 at most


class AcceptOptions(AskOptions, kw_only=True):
    """What a user asks of `evalh baseline accept`."""

    ref: str | None = None  # None: the suite's draft, else live
    suite: str | None = None  # None: the default one, or those that the version's prompt has
    model: str | None = None  # None: the suite's
    outputs: bool = True  # where the suite says that they may not be kept, none are


class PowerOptions(Value, kw_only=True):
    """What a user asks of `evalh power`. None: as the suite and the log say."""

    suite: str | None = None
    drop: float | None = None
    cases: int | None = None
    trials: int | None = None
    discordance: float | None = None


class OtelOptions(Value, kw_only=True):
    """What a user asks of `evalh export otel`; None: what the environment says."""

    endpoint: str | None = None
    protocol: str | None = None
    content: bool = False
    verdicts: str = "both"  # `interop.otel_spans.VerdictForm`


class BlameOptions(AskOptions, kw_only=True):
    """What a user asks of `evalh blame`."""

    run: str | None = None  # None: the newest
    stand_in: str | None = None  # a model whose outputs replace the steps'; None: gold
    design: Design = Design.IN_ORDER
    reruns: int = 3
    cases: int | None = None  # at most so many; None: all that ended bad
