"""Prompt versions for the command line: lists, differences, releases, history.

Rendering one case as a run would send it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalh.api.options import RunOptions
from evalh.api.parts import Parts
from evalh.core.errors import UsageError
from evalh.core.prompt import DRAFT, PromptVersion
from evalh.core.request import Request
from evalh.core.values import Value
from evalh.engine.selection import Selection

if TYPE_CHECKING:
    from evalh.analysis.prompt_diff import PromptDiff


_SHORT = len("sha256:") + 12

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


class VersionRow(Value, kw_only=True):
    """One version in a list."""

    label: str
    digest: str
    path: str
    live: bool
    git: str  # committed | modified | new | no git
    description: str | None

    @property
    def short_digest(self) -> str:
        """The digest as people read it."""
        return self.digest[:_SHORT]


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
    return VersionRow(
        label=version.label,
        digest=version.digest,
        path=version.path,
        live=live,
        git=_state(parts, version.path),
        description=version.description,
    )


def _state(parts: Parts, path: str) -> str:
    if parts.repository is None:
        return "no git"
    state = parts.repository.file_state(path)
    if state.blob is None:
        return "new"
    return "modified" if state.dirty else "committed"


def diff_versions(parts: Parts, base: str, head: str) -> "PromptDiff":
    """Compare two versions. Raises NotFound."""
    from evalh.analysis.prompt_diff import diff

    default = parts.default_prompt
    return diff(parts.version(base, default), parts.version(head, default))


def release_draft(parts: Parts, name: str) -> VersionRow:
    """Freeze the draft as the next version. Raises UsageError where nothing changed or there is no draft."""
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


def commits(parts: Parts, name: str) -> list[dict[str, str]]:
    """Return the commits that touched a prompt's folder, newest first. Raises UsageError without git."""
    prompts = parts.prompts()
    prompts.versions(name)
    if parts.repository is None:
        assert parts.no_git is not None
        raise UsageError(f"there is no history: {parts.no_git.reason}", hint=parts.no_git.hint)
    entries = parts.repository.log(f"{parts.config.prompts_dir}/{name}")
    return [
        {"commit": entry.commit, "date": entry.date, "author": entry.author, "subject": entry.subject}
        for entry in entries
    ]


def render_case(parts: Parts, case_id: str, *, suite: str | None, ref: str | None, model: str | None) -> Request:
    """Return the request for one case. Raises NotFound for an unknown case, version or model."""
    options = RunOptions(
        target=suite,
        prompts=(ref,) if ref else (),
        models=(model,) if model else (),
        selection=Selection(case_ids=frozenset({case_id})),
    )
    plan = parts.plans(options)[0]
    if plan.pipeline is not None:
        steps = ", ".join(plan.pipeline.steps)
        raise UsageError(
            f"{plan.version.label} is a pipeline: what its steps send depends on what came before",
            hint=f"evalh show SAMPLE shows what was sent; its steps: {steps}",
        )
    return plan.plain.request(next(iter(plan.cases)))
