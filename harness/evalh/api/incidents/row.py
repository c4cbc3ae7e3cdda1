"""From a recorded execution to a row: inputs that fit the prompt, doubles for functions, and nobody's data."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec.structs import replace

from evalh.analysis.like_values import LikeValues
from evalh.api.incidents.recorded import Recorded
from evalh.api.parts import Parts
from evalh.core.case import ABSENT, Absent, Case
from evalh.core.errors import EvalhError, UsageError, one_of
from evalh.core.prompt import PromptRef, PromptVersion
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.pipeline.contracts import Contract
from evalh.workspace.prompt.matching import has_fixed_text, inputs_of, read_back, readable
from evalh.workspace.prompt.templates import check_inputs


class Fitting(Value, kw_only=True):
    """Inputs for a case, and where they come from."""

    inputs: Mapping[str, JsonValue]
    whose: str  # the workflow, the step draft, the messages of call c-1 read through triage@v3
    guessed: bool = False  # read back through a template: a person must have seen them
    version: str | None = None  # that rendered them, where they were read back


class RowDraft(Value, kw_only=True):
    """A row, but for what is expected."""

    recorded: Recorded  # with like values, too
    fitting: Fitting
    given: Mapping[str, JsonValue]
    replaced: Mapping[str, int]  # personal data, by its kind
    notes: tuple[str, ...] = ()


def draft(parts: Parts, recorded: Recorded, version: PromptVersion) -> RowDraft:
    """Make a row for a prompt. Raises UsageError where no recorded inputs fit it."""
    fitting = _fitting(parts, recorded, version)
    given, notes = _given(recorded, version)
    like = LikeValues()
    whole = {
        "inputs": dict(fitting.inputs),
        "given": given,
        "output": recorded.output,
        "outputs": dict(recorded.outputs),
    }
    clean = like.value(whole)
    return RowDraft(
        recorded=replace(
            recorded,
            output=clean["output"],
            outputs=clean["outputs"],
            version=recorded.version or fitting.version or _version_of(parts, recorded, version),
            tool_calls=tuple(replace(one, arguments=like.text(one.arguments)) for one in recorded.tool_calls),
        ),
        fitting=replace(fitting, inputs=clean["inputs"]),
        given=clean["given"],
        replaced={str(kind): count for kind, count in like.counts.items()},
        notes=notes,
    )


def _fitting(parts: Parts, recorded: Recorded, version: PromptVersion) -> Fitting:
    misfits: list[str] = []
    fits: list[Fitting] = []
    for stated in recorded.stated:
        problem = _problem(version, stated.inputs)
        if problem is None:
            fits.append(Fitting(inputs=stated.inputs, whose=stated.whose))
        else:
            misfits.append(f"{stated.whose}: {problem}")
    own = [one for one in fits if one.whose in ("the workflow", "the sample")]
    different = {str(dict(one.inputs)): one for one in fits}
    if own or len(different) == 1:
        return (own or fits)[0]
    if fits:
        what = f"the inputs of several steps fit {version.label}: {', '.join(one.whose for one in fits)}"
        raise UsageError(what, hint=one_of("--from {}", [one.id for one in recorded.calls]))
    matched = next(_matched(parts, recorded, version), None)
    if matched is not None:
        return matched
    what = f"no recorded inputs of {recorded.name} fit {version.label}"
    why = "; ".join(misfits) or f"none were recorded; {version.label} needs {', '.join(sorted(version.variables))}"
    hint = f"evalh show {shlex.quote(recorded.name)}   {why}; trace.workflow(…, inputs={{…}}) records them"
    raise UsageError(what, hint=hint)


def _problem(version: PromptVersion, inputs: Mapping[str, JsonValue]) -> str | None:
    """Say why inputs do not fit a version; None if they do."""
    missing = check_inputs(version, inputs)
    if missing:
        has = ", ".join(sorted(inputs)) or "nothing"
        return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing (it has: {has})"
    if version.input_schema is None:
        return None
    violation = Contract(version.input_schema, version.input_defaults).violation(inputs)
    return None if violation is None else f"{violation[0]}: {violation[1]}"


def _matched(parts: Parts, recorded: Recorded, version: PromptVersion) -> Iterator[Fitting]:
    """Read calls back through the versions of the prompt: the recorded one first, then this one, then the newest."""
    for one in _versions(parts, recorded, version):
        for call in recorded.calls:
            found = inputs_of(one, call.messages)
            if found and _problem(version, found) is None:
                whose = f"the messages of {call.id}, read back through {one.label}"
                yield Fitting(inputs=found, whose=whose, guessed=True, version=one.label)


def _version_of(parts: Parts, recorded: Recorded, version: PromptVersion) -> str | None:
    """Return the version whose fixed texts a recorded call has; None if none has, or which is not known."""
    fits = (
        one.label
        for one in _versions(parts, recorded, version)
        if (template := readable(one)) is not None
        and has_fixed_text(template)
        and any(read_back(template, one.input_schema, call.messages) is not None for call in recorded.calls)
    )
    return next(fits, None)


def _versions(parts: Parts, recorded: Recorded, version: PromptVersion) -> Iterator[PromptVersion]:
    prompts = parts.under_test
    names = [name for name in reversed(prompts.versions(version.name)) if name != version.version]
    said = recorded.version
    if said is not None and PromptRef.parse(said).name == version.name:
        names.sort(key=lambda name: name != PromptRef.parse(said).version)
    loaded = {}
    for name in names:
        try:
            loaded[name] = prompts.load(version.name, name)
        except EvalhError:  # `evalh check` tells
            continue
    first = [one for name, one in loaded.items() if f"{version.name}@{name}" == said]
    yield from (*first, version, *(one for one in loaded.values() if one not in first))


def _given(recorded: Recorded, version: PromptVersion) -> tuple[dict[str, JsonValue], tuple[str, ...]]:
    """Return doubles for the functions of a pipeline, by the names of the recorded steps; and what is missing."""
    if version.pipeline is None:
        return {}, ()
    functions = [step.name for step in version.pipeline.steps if step.function is not None]
    given = {name: recorded.outputs[name] for name in functions if name in recorded.outputs}
    notes = [
        f"{name}: several steps of this name returned different outputs, so the case calls it"
        for name in functions
        if name in recorded.unclear
    ]
    notes += [
        f"{name}: its output was not recorded, so the case calls it"
        for name in functions
        if name not in given and name not in recorded.unclear
    ]
    return given, tuple(notes)


def doubles(prepared: RowDraft, version: PromptVersion, case: Case) -> tuple[dict[str, JsonValue], tuple[str, ...]]:
    """Return the doubles that a case with this gold can have, and what a person must know of them.

    A double is a function's output whatever is handed to it. If a step before it was wrong, what was recorded answers
    the wrong question, and a version that is right could never pass.
    """
    given, notes, outputs = dict(prepared.given), list(prepared.notes), prepared.recorded.outputs
    for name in prepared.given:
        before = _before(version, name)
        wrong = [step for step in before if step in outputs and _differs(case.gold_of(step), outputs[step])]
        unsaid = [step for step in before if case.gold_of(step) is ABSENT]
        if wrong:
            del given[name]
            notes.append(f"{name}: {', '.join(wrong)} should have given it something else, so the case calls it")
        elif unsaid:
            gold = ", ".join(f"expected.steps.{step}" for step in unsaid)
            notes.append(
                f"{name}: the case gives its recorded output, whatever its inputs are; if these were wrong, add {gold}"
            )
    return given, tuple(notes)


def _before(version: PromptVersion, name: str) -> list[str]:
    """Return the prompt steps of which a step reads something, also through others."""
    if version.pipeline is None:
        return []
    waiting, found = [name], dict[str, None]()
    while waiting:
        for step in version.pipeline.step(waiting.pop()).waits_for:
            if step not in found:
                found[step] = None
                waiting.append(step)
    return [step for step in found if version.pipeline.step(step).version is not None]


def _differs(gold: JsonValue | Literal[Absent.ABSENT], output: JsonValue) -> bool:
    if gold is ABSENT:
        return False
    if isinstance(gold, Mapping) and isinstance(output, Mapping):  # gold may state a part
        return any(output.get(key) != value for key, value in gold.items())
    return bool(gold != output)
