"""Prompt versions for the command line: lists, differences, releases, history.

Rendering one case as a run would send it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evalh.api.options import RunOptions
from evalh.api.parts import Parts
from evalh.core.case import Case
from evalh.core.errors import NotFound, UsageError, did_you_mean
from evalh.core.prompt import DRAFT, PromptVersion
from evalh.core.request import Request
from evalh.engine.plan import PlannedPipeline
from evalh.engine.selection import Selection
from evalh.pipeline.walk import Walk
from evalh.report.documents.document import document_of
from evalh.report.documents.prompts import CommitDocument, VersionRow

if TYPE_CHECKING:
    from evalh.analysis.prompt_diff import PromptDiff


_FIRST_DRAFT = """---
description: What this prompt is for
config: {temperature: 0, max_tokens: 256}
input: {schema: {text: string}}
---
{{role "system"}}
Say what the model shall do.
{{role "user"}}
{{text}}
"""


def version_rows(parts: Parts, name: str | None) -> list[VersionRow]:
    """Return every version of a prompt, or of all prompts. Raises NotFound."""
    prompts = parts.prompts()
    rows: list[VersionRow] = []
    for prompt in prompts.names() if name is None else [name]:
        live = prompts.live(prompt)
        versions = prompts.versions(prompt)
        rows += [_row(parts, prompts.load(prompt, version), live=version == live) for version in versions]
    return rows


def _row(parts: Parts, version: PromptVersion, *, live: bool) -> VersionRow:
    state = "no git"
    if parts.repository is not None:
        found = parts.repository.file_state(version.path)
        state = "new" if found.blob is None else "modified" if found.dirty else "committed"
    return VersionRow(
        label=version.label,
        digest=version.digest,
        path=version.path,
        live=live,
        git=state,
        description=version.description,
    )


def diff_versions(parts: Parts, base: str, head: str) -> "PromptDiff":
    """Compare two versions. Raises NotFound."""
    from evalh.analysis.prompt_diff import diff

    default = parts.default_prompt
    return diff(parts.version(base, default), parts.version(head, default))


def release_draft(parts: Parts, name: str) -> VersionRow:
    """Freeze the draft as the next version. Raises UsageError if nothing changed or there is no draft."""
    from evalh.workspace.prompt.releases import release

    path = release(parts.root, parts.prompts(), name)
    prompts, version = parts.prompts(), path.name.partition(".")[0]
    return _row(parts, prompts.load(name, version), live=prompts.live(name) == version)


def start_prompt(parts: Parts, name: str, steps: Sequence[str] = ()) -> VersionRow:
    """Write the first draft of a new prompt; with steps, a pipeline of these prompts. Raises UsageError, NotFound."""
    from evalh.workspace.prompt.prompts import PIPELINE_SUFFIX, SUFFIX
    from evalh.workspace.prompt.releases import first_pipeline, new

    prompts = parts.prompts()
    if steps:
        new(parts.root, prompts, name, first_pipeline(prompts, steps), PIPELINE_SUFFIX)
    else:
        new(parts.root, prompts, name, _FIRST_DRAFT, SUFFIX)
    return _row(parts, parts.prompts().load(name, DRAFT), live=False)


def commits(parts: Parts, name: str) -> list[CommitDocument]:
    """Return the commits that touched a prompt's folder, newest first. Raises UsageError without git."""
    prompts = parts.prompts()
    prompts.versions(name)
    if parts.repository is None:
        assert parts.no_git is not None
        raise UsageError(f"no history: {parts.no_git.reason}", hint=parts.no_git.hint)
    return [document_of(CommitDocument, entry) for entry in parts.repository.log(f"{parts.config.prompts_dir}/{name}")]


def render_case(
    parts: Parts, case_id: str, *, suite: str | None, ref: str | None, model: str | None, step: str | None = None
) -> Request:
    """Return the request for one case, of a pipeline that of one step. Raises NotFound, UsageError, WorkspaceError."""
    options = RunOptions(
        target=suite,
        prompts=(ref,) if ref else (),
        models=(model,) if model else (),
        selection=Selection(case_ids=frozenset({case_id})),
    )
    plan = parts.plans(options)[0]
    case = next(iter(plan.cases))
    if plan.pipeline is not None:
        return _step_request(plan.pipeline, plan.version.label, case, step)
    if step is not None:
        raise UsageError(f"{plan.version.label} is a single prompt: it has no step {step!r}", hint="leave out --step")
    return plan.plain.request(case)


def _step_request(pipeline: PlannedPipeline, label: str, case: Case, name: str | None) -> Request:
    """Return what a step is sent that waits for no answer: the row's doubles stand in for those before it."""
    doubles = {step: output for step, output in case.given.items() if step in pipeline.steps}
    walk = Walk(pipeline.flow, case.inputs, doubles=doubles)
    ready = {one.spec.name: one for one in walk.ready()}
    prompts = {step: asked for step in ready if (asked := pipeline.steps[step].prompt) is not None}
    if name in prompts:
        template = prompts[name].step
        return template.request(replace(case, inputs=dict(ready[name].inputs)))
    can = ", ".join(f"--step {one}" for one in prompts) or "no step of this case"
    if name is None:
        raise UsageError(f"{label} is a pipeline: which step?", hint=can)
    if name not in pipeline.steps:
        raise NotFound(f"{label} has no step {name!r}", hint=did_you_mean(name, pipeline.steps))
    raise UsageError(f"{name!r} sends no request{_why_not(walk, pipeline, name, case)}", hint=f"can be shown: {can}")


def _why_not(walk: Walk, pipeline: PlannedPipeline, name: str, case: Case) -> str:
    if pipeline.steps[name].prompt is None:
        return ": it is a function"
    settled = walk.settled.get(name)
    if settled is not None:
        return f" for case {case.id!r}: {settled.state.value}: {settled.reason or 'the row gives its output'}"
    waits = [one for one in pipeline.steps[name].spec.waits_for if one not in walk.settled]
    doubles = ", ".join(f'"{one}": …' for one in waits)
    return f' before {", ".join(waits)}; the row can give the output: "given": {{{doubles}}}'


def measured(parts: Parts, name: str) -> bool:
    """Whether a suite runs the prompt, so that `evalh run` finds it. Raises WorkspaceError."""
    return any(parts.suite(suite).prompt == name for suite in parts.suites())
