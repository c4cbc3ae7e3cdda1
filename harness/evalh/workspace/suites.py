"""Suites: `evals/<name>.yaml`, with the gate's policy, what outputs cost downstream, and what holds for baselines.

The models are the files' keys: names, types, limits, defaults and descriptions stand here and nowhere else.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from itertools import count
from typing import Annotated, Self, TypeAlias

from msgspec.structs import replace
from pydantic import AfterValidator, ConfigDict, Field, model_validator

from evalh.core.declared import FileModel, Refused, Text, Texts, Words, read
from evalh.core.errors import EvalhError, NotFound, WorkspaceError, did_you_mean
from evalh.core.located import Located, Path
from evalh.core.ports import Tree
from evalh.core.prompt import PromptRef
from evalh.core.suite import (
    ADVISORY,
    DEFAULT_CANARY,
    DEFAULT_DISCORDANCE,
    DEFAULT_MARGIN,
    About,
    BaselinePolicy,
    Doubt,
    GatePolicy,
    GraderRule,
    GraderSpec,
    MustPass,
    Never,
    OutcomePrices,
    OutputValue,
    Require,
    Suite,
)
from evalh.workspace.config import Config
from evalh.workspace.entries import SuiteEntry
from evalh.workspace.files import label, parts_of, read_text
from evalh.workspace.yaml import parse_yaml

_SUFFIX = ".yaml"
_CASE = "case"
_WITH_PARTS = (_CASE, "weighted")
"""Kinds whose parts may have names, which a gate's `never` may name: known when the graders are built."""
_DAYS_A_WEEK = 7
_AGE = re.compile(r"\s*([1-9][0-9]{0,4}) ?(d|days?|w|weeks?)\s*")

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Margin: TypeAlias = Annotated[float, Field(ge=0.001, le=0.5)]  # below that no dataset could ever show it
Trials: TypeAlias = Annotated[int, Field(ge=1, le=1000)]
Usd: TypeAlias = Annotated[float, Field(ge=0)]
StepGraders: TypeAlias = Annotated[
    tuple[SuiteEntry, ...], Field(min_length=1), Words("a list of graders", "extract: [{equals: {path: order_id}}]")
]


class AtLeast(FileModel):
    """`good_rate: {at_least: 0.9}`."""

    at_least: Annotated[Share, Words(hint="good_rate: {at_least: 0.9}")]


class MayRise(FileModel):
    """`cost_per_good: {may_rise: 0.1}`."""

    may_rise: Annotated[float, Words(hint="0.1: by a tenth")] = Field(
        ge=0, description="How much it may rise, as a share: 0.1 is 10 %."
    )


class GraderMargin(FileModel):
    """`graders: {schema: {margin: 0.01}}`."""

    margin: Margin | None = Field(None, description="The margin for this grader. Default: the gate's.")


class MustPassRule(FileModel):
    """`must_pass: {tags: [incident]}`."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["tags"]}, {"required": ["cases"]}]})

    tags: Texts = Field((), min_length=1, description="Cases with any of these tags.")
    cases: Texts = Field((), min_length=1, description="Cases by id.")
    trials: Trials = 1
    passes: Trials | None = Field(None, description="How many of the trials must be good. Default: all.")

    @model_validator(mode="after")
    def _can_pass(self) -> Self:
        if not self.tags and not self.cases:
            raise Refused("names no case", "must_pass: {tags: [incident]}")
        if self.passes is not None and self.passes > self.trials:
            what = f"{self.passes} of {self.trials} trials cannot pass"
            raise Refused(what, f"passes: {self.trials}", ("passes",))
        return self

    def rule(self) -> MustPass:
        """Return the rule as a value."""
        tags, cases = frozenset(self.tags), frozenset(self.cases)
        return MustPass(tags=tags, cases=cases, trials=self.trials, passes=self.passes or self.trials)


class GateTable(FileModel):
    """`gate:` of a suite."""

    require: Require = Field(
        Require.NOT_WORSE_SHOWN,
        description="Refuse only what is shown to be worse, or accept only what is shown to be no worse.",
    )
    margin: Margin = Field(DEFAULT_MARGIN, description="The drop of the good rate that still counts as no worse.")
    target: About = Field(
        About.POPULATION, description="Whether the verdict is about cases like these, or about this dataset."
    )
    doubt: Doubt = Field(
        Doubt.ACCEPT,
        description="What to do if a number is beyond its bound as measured, but chance may explain it: accept (the "
        "headline then mentions the doubt), be inconclusive, or refuse.",
    )
    sequential: bool = Field(default=True, description="Stop as soon as the verdict is sure.")
    discordance: float = Field(
        DEFAULT_DISCORDANCE,
        ge=0.02,
        le=1,
        description="The share of cases that you expect to differ between two versions.",
    )
    trials: Trials | None = Field(None, description="How often each case is run. Default: the suite's.")
    must_pass: MustPassRule | None = Field(None, description="Cases that must be good, apart from all statistics.")
    good_rate: Annotated[AtLeast, Words(hint="good_rate: {at_least: 0.9}")] | None = Field(
        None, description="The good rate below which head is refused."
    )
    never: Texts | dict[str, Share] = Field(
        (), description="Graders that must not fail. With a share: failures must be shown to be rarer than that."
    )
    cost_per_good: Annotated[MayRise, Words(hint="cost_per_good: {may_rise: 0.1}")] | None = Field(
        None, description="By how much the cost of one good output may rise."
    )
    net_loss: Annotated[MayRise, Words(hint="net_loss: {may_rise: 0.1}")] | None = Field(
        None, description="By how much the cost of a case and of its output's use may rise. Needs `value`."
    )
    latency_p95: Annotated[MayRise, Words(hint="latency_p95: {may_rise: 0.1}")] | None = Field(
        None, description="By how much the 95th percentile of the latency may rise."
    )
    graders: dict[str, GraderMargin] = Field(
        default_factory=dict, description="Graders whose passes must meet `require` too, each with its margin."
    )
    max_ungraded: Share | None = Field(
        None, description="The share of cases that may stay ungraded. Default: the suite's."
    )
    canary: int | None = Field(
        None,
        ge=0,
        le=10_000,
        description="How many of base's accepted cases are asked again, to see if the model changed. 0: none. "
        f"Default: {DEFAULT_CANARY} if a hosted model has a baseline.",
    )

    def policy(self) -> GatePolicy:
        """Return the policy as a value."""
        never = self.never.items() if isinstance(self.never, dict) else ((name, None) for name in self.never)
        names = GatePolicy.__struct_fields__
        stated = {name: getattr(self, name) for name in names if name in GateTable.model_fields}
        return GatePolicy(
            **stated
            | {
                "must_pass": self.must_pass and self.must_pass.rule(),
                "good_rate": self.good_rate and self.good_rate.at_least,
                "never": tuple(Never(name, share) for name, share in never),
                "cost_may_rise": self.cost_per_good and self.cost_per_good.may_rise,
                "latency_may_rise": self.latency_p95 and self.latency_p95.may_rise,
                "net_loss_may_rise": self.net_loss and self.net_loss.may_rise,
                "graders": tuple(GraderRule(name, rule.margin or self.margin) for name, rule in self.graders.items()),
            }
        )


class ValueTable(FileModel):
    """`value:` of a suite."""

    bad_usd: Usd = Field(0.0, description="The cost of a bad output that is used as if it were good, in USD.")
    review_usd: Usd = Field(0.0, description="The cost of a person's review of an output, in USD.")
    abstain_usd: Usd = Field(0.0, description="The cost of giving no output, in USD.")
    review: Texts | None = Field(
        None,
        description="The graders whose `fail` sends an output to a person. Default: those that are not required.",
    )

    def value(self, graders: tuple[GraderSpec, ...]) -> OutputValue:
        """Return what outputs cost as a value."""
        names = [one.name for one in graders if not one.required] if self.review is None else self.review
        prices = OutcomePrices(bad_usd=self.bad_usd, review_usd=self.review_usd, abstain_usd=self.abstain_usd)
        return OutputValue(prices=prices, review=frozenset(names))


class BaselineTable(FileModel):
    """`baseline:` of a suite."""

    max_age: Annotated[str, Words("days or weeks", "max_age: 30d; or 4w")] | None = Field(
        None,
        pattern=f"^{_AGE.pattern}$",
        description="How old a baseline may be: 30d, 4w. An older one is stale. Default: any age.",
    )
    outputs: bool = Field(default=True, description="Whether outputs may be kept in git beside the results.")

    def policy(self) -> BaselinePolicy:
        """Return the policy as a value."""
        found = _AGE.fullmatch(self.max_age or "")
        days = found and int(found[1]) * (_DAYS_A_WEEK if found[2].startswith("w") else 1)
        return BaselinePolicy(max_age_days=days, outputs=self.outputs)


def _a_dataset(name: str) -> str:
    try:
        parts_of(name)
    except EvalhError as exc:
        raise Refused(exc.what, exc.hint) from None
    return name


def _a_prompt(text: str) -> str:
    try:
        ref = PromptRef.parse(text)
    except EvalhError as exc:
        raise Refused(exc.what) from None
    if ref.version or ref.revision or ref.name is None:
        raise Refused(
            f"a suite names a prompt, not a version of one: {text!r}",
            f"prompt: {ref.name or '<name>'}; the version is chosen by --prompt, or by `live` in evalh.toml",
        )
    return text


class SuiteFile(FileModel):
    """`evals/<name>.yaml`: a prompt, a dataset, graders, and what is asked of them."""

    description: Text | None = Field(None, description="What the suite is for.")
    prompt: Annotated[Text, AfterValidator(_a_prompt), Words(hint="prompt: <name>")] = Field(
        description="The prompt's name: the folder prompts/<name>."
    )
    dataset: Annotated[Text, AfterValidator(_a_dataset), Words(hint="dataset: <name>")] = Field(
        description="The dataset's name: datasets/<name>.jsonl or .csv. Or the path of such a file."
    )
    model: Text | None = Field(None, description="A model or route of evalh.toml. --model overrides it.")
    owner: Text | None = Field(None, description="Who is responsible for the suite.")
    trials: Trials = Field(1, description="How often each case is run.")
    max_ungraded: Share = Field(
        0.02, description="The share of ungraded samples above which the run is not measurable (exit 4)."
    )
    graders: Annotated[tuple[SuiteEntry, ...], Words("a list of graders", "graders: [schema]")] = Field(
        min_length=1, description="The graders that decide whether an output is good. At least one must be required."
    )
    step_graders: dict[str, StepGraders] = Field(
        default_factory=dict,
        description="Graders of a pipeline's steps, by step. A row has their gold in expected.steps.<step>.",
    )
    compare: Annotated[tuple[SuiteEntry, ...], Words("a list of graders")] = Field(
        (), description="Graders that need both sides of a comparison."
    )
    gate: GateTable | None = Field(None, description="The merge gate's policy.")
    baseline: BaselineTable | None = Field(None, description="Rules for the suite's accepted results.")
    value: ValueTable | None = Field(None, description="What outputs cost after they leave the model, in USD.")

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        if not any(entry.kind not in ADVISORY if entry.required is None else entry.required for entry in self.graders):
            raise Refused("no grader is required: every output would be good", "graders: [schema]", ("graders",))
        _refuse_cases(self)
        if self.gate is not None and self.gate.net_loss is not None and self.value is None:
            what, hint = "'net_loss' needs to know what a bad output costs", "value: {bad_usd: 0.50}, beside gate"
            raise Refused(what, hint, ("gate", "net_loss"))
        return self


def _refuse_cases(file: SuiteFile) -> None:
    """Refuse what the graders of rows cannot be: those of a step, of two sides, or counted twice."""
    if [entry.kind for entry in file.graders].count(_CASE) > 1:
        raise Refused("'case' is given twice: the graders of a row are counted once", "- case, once", ("graders",))
    elsewhere = [("step_graders", step) for step, entries in file.step_graders.items() if _has_case(entries)]
    for place in [*elsewhere, *([("compare",)] if _has_case(file.compare) else [])]:
        raise Refused("'case' judges a sample's output, by the row's own graders", "graders: [case]", place)


def _has_case(entries: Iterable[SuiteEntry]) -> bool:
    return any(entry.kind == _CASE for entry in entries)


def suite_names(tree: Tree, config: Config) -> tuple[str, ...]:
    """Return the names of the suites, sorted."""
    return tuple(name.removesuffix(_SUFFIX) for name in tree.names(config.evals_dir) if name.endswith(_SUFFIX))


def suite_path(config: Config, name: str) -> str:
    """Return where a suite's file lies."""
    return f"{config.evals_dir}/{name}{_SUFFIX}"


def load_suite(tree: Tree, config: Config, name: str) -> Suite:
    """Read a suite. Raises NotFound, which lists the suites there are, and WorkspaceError with file and line."""
    path = suite_path(config, name)
    if name not in suite_names(tree, config):
        other = path.removesuffix(_SUFFIX) + ".yml"
        misnamed = "/" not in name and tree.exists(other)
        hint = f"rename {other} to {path}" if misnamed else did_you_mean(name, suite_names(tree, config))
        raise NotFound(f"no suite {name!r}", where=label(tree, config.evals_dir), hint=hint)
    located = parse_yaml(read_text(tree, path), label(tree, path))
    file = read(SuiteFile, located.value, located.where)
    graders = _graders(file.graders, located, "graders")
    _refuse_strange(file, located, [grader.name for grader in graders])
    return Suite(
        name=name,
        **{key: getattr(file, key) for key in ("prompt", "dataset", "model", "owner", "trials", "max_ungraded")},
        graders=graders,
        compare=_graders(file.compare, located, "compare"),
        step_graders={
            step: _graders(found, located, "step_graders", step) for step, found in file.step_graders.items()
        },
        gate=GatePolicy() if file.gate is None else file.gate.policy(),
        baseline=BaselinePolicy() if file.baseline is None else file.baseline.policy(),
        value=None if file.value is None else file.value.value(graders),
        where=located.where(),
        places={
            **{key: located.where(key) for key in located.value},
            **{f"gate.{rule}": located.where("gate", rule) for rule in ("never", "must_pass")},
            **{f"step_graders.{step}": located.where("step_graders", step) for step in file.step_graders},
        },
    )


def _refuse_strange(file: SuiteFile, located: Located, graders: Collection[str]) -> None:
    """Refuse names of graders that the suite does not have."""
    named: list[tuple[str, Path]] = []
    has_parts = any(entry.kind in _WITH_PARTS for entry in file.graders)
    if (gate := file.gate) is not None:
        keys: Iterable[str | int] = gate.never if isinstance(gate.never, dict) else range(len(gate.never))
        if not has_parts:
            named += ((name, ("gate", "never", key)) for name, key in zip(gate.never, keys, strict=True))
        named += ((name, ("gate", "graders", name)) for name in gate.graders)
    if file.value is not None:
        named += ((name, ("value", "review", place)) for place, name in enumerate(file.value.review or ()))
    WorkspaceError.raise_all(
        WorkspaceError(
            f"the suite has no grader {name!r}", where=located.where(*path), hint=did_you_mean(name, graders)
        )
        for name, path in named
        if name not in graders
    )


def _graders(entries: tuple[SuiteEntry, ...], located: Located, *key: str) -> tuple[GraderSpec, ...]:
    specs = []
    for place, entry in enumerate(entries):
        specs.append(entry.spec(partial(located.where, *key, place), required=entry.kind not in ADVISORY))
    return tuple(_named(specs))


def _named(graders: list[GraderSpec]) -> Iterator[GraderSpec]:
    """Give each grader a name of its own: as given, else its kind; with its path or number if the kind comes twice."""
    taken: dict[str, str] = {}
    for grader in graders:
        if grader.name in taken:
            raise WorkspaceError(
                f"two graders are called {grader.name!r}", where=grader.where, hint=f"the other: {taken[grader.name]}"
            )
        if grader.name:
            taken[grader.name] = grader.where
    wishes = Counter(wish for grader in graders if not grader.name for wish in _wishes(grader))
    numbers: Counter[str] = Counter()
    for grader in graders:
        if grader.name:
            yield grader
            continue
        kind = grader.kind
        numbers[kind] += 1
        free = (wish for wish in _wishes(grader) if wishes[wish] == 1 and wish not in taken)
        numbered = (f"{kind}(#{number})" for number in count(numbers[kind]))
        name = next(free, None) or next(name for name in numbered if name not in taken)
        taken[name] = grader.where
        yield replace(grader, name=name)


def _wishes(grader: GraderSpec) -> list[str]:
    path = grader.params.get("path")
    return [grader.kind, f"{grader.kind}({path})"] if isinstance(path, str) else [grader.kind]
