"""Prompt versions for the command line: lists, differences, releases, history.

Rendering one case as a run would send it.
"""

from typing import TYPE_CHECKING

from evalh.api.options import RunOptions
from evalh.api.parts import Parts
from evalh.core.errors import UsageError
from evalh.core.prompt import DRAFT, PromptVersion
from evalh.core.request import Request
from evalh.engine.selection import Selection
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
    """Freeze the draft as the next version. Raises UsageError where nothing changed or there is no draft."""
    from evalh.workspace.prompt.releases import release

    path = release(parts.root, parts.prompts(), name)
    prompts = parts.prompts()
    return _row(parts, prompts.load(name, path.stem), live=prompts.live(name) == path.stem)


def start_prompt(parts: Parts, name: str) -> VersionRow:
    """Write the first draft of a new prompt. Raises UsageError where the prompt is there."""
    from evalh.workspace.prompt.releases import new

    new(parts.root, parts.prompts(), name, _FIRST_DRAFT)
    return _row(parts, parts.prompts().load(name, DRAFT), live=False)


def commits(parts: Parts, name: str) -> list[CommitDocument]:
    """Return the commits that touched a prompt's folder, newest first. Raises UsageError without git."""
    prompts = parts.prompts()
    prompts.versions(name)
    if parts.repository is None:
        assert parts.no_git is not None
        raise UsageError(f"there is no history: {parts.no_git.reason}", hint=parts.no_git.hint)
    return [document_of(CommitDocument, entry) for entry in parts.repository.log(f"{parts.config.prompts_dir}/{name}")]


def render_case(parts: Parts, case_id: str, *, suite: str | None, ref: str | None, model: str | None) -> Request:
    """Return the request for one case. Raises NotFound for an unknown case, version or model."""
    options = RunOptions(
        target=suite,
        prompts=(ref,) if ref else (),
        models=(model,) if model else (),
        selection=Selection(case_ids=frozenset({case_id})),
    )
    plan = parts.plans(options)[0]
    return plan.step.request(next(iter(plan.cases)))
