"""Writing prompts: a new draft, and a draft frozen as the next version."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from evalh.core.errors import EvalhError, UsageError, WorkspaceError
from evalh.core.prompt import DRAFT, INPUTS, PromptRef, PromptVersion, StepSpec, version_number
from evalh.workspace.prompt.bodies import BodyParser
from evalh.workspace.prompt.prompts import PIPELINE_SUFFIX, SUFFIX, Prompts
from evalh.workspace.prompt.templates import grammar_of
from evalh.workspace.prompt.versions import cut
from evalh.workspace.writing import new_file


def new(root: Path, prompts: Prompts, name: str, text: str, suffix: str = SUFFIX) -> Path:
    """Write the first draft of a prompt, or of a pipeline, which a prompt may become.

    Raises UsageError where there is one already, WorkspaceError for bad text.
    """
    try:
        nameable = PromptRef.parse(f"{name}@{DRAFT}").name == name
    except UsageError:
        nameable = False
    if not nameable or any(part in ("", ".", "..") for part in name.split("/")):
        raise UsageError(f"{name!r} is not a prompt's name", hint="letters, digits, . _ -; folders with /")
    versions = prompts.versions(name) if name in prompts.names() else ()
    if versions and (suffix == SUFFIX or DRAFT in versions):
        what = "is there" if suffix == SUFFIX else "has a draft"
        raise UsageError(f"prompt {name!r} {what}", hint=f"edit it, or release it: evalh prompt release {quote(name)}")
    text = text.replace("\r\n", "\n")
    path = f"{prompts.folder}/{name}/{DRAFT}{suffix}"
    prompts.parse(name, DRAFT, text, path)
    return _write(root, path, text)


def first_pipeline(prompts: Prompts, steps: Sequence[str]) -> str:
    """Return a pipeline's first text: prompts in a row, their inputs taken from earlier steps where names agree.

    Raises NotFound, WorkspaceError.
    """
    lines = ["description: What this pipeline is for", "steps:"]
    before: dict[str, PromptVersion] = {}
    for stated in steps:
        version = prompts.resolve(PromptRef.parse(stated))
        step = re.sub(r"\W", "_", version.name.rpartition("/")[2])
        inputs = ", ".join(f"{name}: {_source_of(name, before)}" for name in sorted(version.variables))
        lines.append(f"  {step}:")
        lines += [] if stated == step else [f"    prompt: {stated}"]
        lines.append(f"    inputs: {{{inputs}}}")
        before[step] = version
    return "\n".join(lines) + "\n"


def _source_of(name: str, before: Mapping[str, PromptVersion]) -> str:
    if name in before:
        return name
    for step, version in reversed(list(before.items())):
        if name in (version.output_schema or {}).get("properties", {}):
            return f"{step}.{name}"
    return f"{INPUTS}.{name}"


def release(root: Path, prompts: Prompts, name: str) -> Path:
    """Freeze a prompt's draft as its next version; the draft stays. Raises EvalhError.

    Partials are written out into the frozen file, and a pipeline's steps get the versions of their prompts, so that
    editing a partial or a prompt later never changes a frozen version.
    """
    if DRAFT not in prompts.versions(name):
        raise UsageError(
            f"prompt {name!r} has no draft to release",
            hint=f"copy a version to {prompts.path(name, DRAFT)} and edit it",
        )
    draft = prompts.load(name, DRAFT)
    newest = prompts.newest(name)
    if newest is not None and _digest_or_none(prompts, name, newest) == draft.digest:
        raise UsageError(f"the draft of {name!r} is the same as {newest}", hint="edit the draft first")
    for earlier in prompts.versions(name):
        if earlier not in (DRAFT, newest) and _digest_or_none(prompts, name, earlier) == draft.digest:
            hint = f'edit the draft first; going back is one line of evalh.toml: live = "{earlier}"'
            raise UsageError(f"the draft of {name!r} is the same as {earlier}", hint=hint)
    text = prompts.text(name, DRAFT)
    frozen = _with_partials(prompts, draft, text) if draft.pipeline is None else _with_pins(prompts, draft, text)
    version = f"v{(version_number(newest) or 0) + 1 if newest else 1}"
    suffix = SUFFIX if draft.pipeline is None else PIPELINE_SUFFIX
    path = f"{draft.path.rpartition('/')[0]}/{version}{suffix}"
    if prompts.parse(name, version, frozen, path).digest != draft.digest:
        what = "with its partials" if draft.pipeline is None else "with its steps' versions"
        raise WorkspaceError(f"{what} written out, the draft would change", where=draft.path, hint="write them out")
    return _write(root, path, frozen)


def _with_partials(prompts: Prompts, draft: PromptVersion, text: str) -> str:
    source = cut(text, draft.path)
    reader = BodyParser(grammar_of(draft.dialect), partial(prompts.partial, draft.name))
    return text.removesuffix(source.body) + reader.inline(source.body, draft.path, source.body_line)


def _with_pins(prompts: Prompts, draft: PromptVersion, text: str) -> str:
    """Return a pipeline's text with the version of each step's prompt. Raises WorkspaceError."""
    assert draft.pipeline is not None
    pins: dict[str, str] = {}
    errors: list[WorkspaceError] = []
    for spec in draft.pipeline.steps:
        if spec.version is None:
            continue
        try:
            pins[spec.name] = f"{spec.version.name}@{_frozen_as(prompts, spec, spec.version)}"
        except WorkspaceError as exc:
            errors.append(exc)
    WorkspaceError.raise_all(errors)
    return _pinned(text, draft.path, pins)


def _frozen_as(prompts: Prompts, spec: StepSpec, used: PromptVersion) -> str:
    """Return the newest frozen version equal to what a step uses. Raises WorkspaceError if there is none."""
    if used.version != DRAFT:
        return used.version
    for version in reversed(prompts.versions(used.name)):
        if version != DRAFT and _digest_or_none(prompts, used.name, version) == used.digest:
            return version
    raise WorkspaceError(
        f"step {spec.name!r} uses the draft of {used.name!r}, which is not released",
        where=spec.where,
        hint=f"evalh prompt release {quote(used.name)}",
    )


def _digest_or_none(prompts: Prompts, name: str, version: str) -> str | None:
    try:
        return prompts.load(name, version).digest
    except EvalhError:  # `evalh check` reports it; a release does not wait for it
        return None


def _write(root: Path, path: str, text: str) -> Path:
    """Create a file whole or not at all. Raises EvalhError if it is there or cannot be written."""
    target = root / path
    try:
        with new_file(target, replace=False) as file:
            file.write(text.encode())
    except FileExistsError as exc:
        raise UsageError("exists already", hint="another process wrote it; look at it") from exc
    return target


# -- versions, written into a pipeline's text, which otherwise stays as its author wrote it


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


def _pinned(text: str, file: str, pins: Mapping[str, str]) -> str:
    """Return the text with `prompt: <pin>` in each step of `pins`. Raises WorkspaceError for an aliased step."""
    edits = sorted(_edits(text, file, pins), reverse=True)
    for edit in edits:
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _edits(text: str, file: str, pins: Mapping[str, str]) -> Iterator[_Edit]:
    import yaml

    steps = _values(yaml.compose(text, Loader=yaml.SafeLoader))["steps"][1]
    for name, pin in pins.items():
        key, step = _values(steps)[name]
        stated = _values(step)
        if step.start_mark.index < key.end_mark.index:
            where = f"{file}:{key.start_mark.line + 1}"
            raise WorkspaceError(f"step {name!r} is an alias of another one", where=where, hint="write it out")
        if "prompt" in stated:
            value = stated["prompt"][1]
            yield _Edit(value.start_mark.index, value.end_mark.index, pin)
        elif step.flow_style:
            start = text.index("{", step.start_mark.index) + 1  # behind an anchor
            yield _Edit(start, start, f"prompt: {pin}{', ' if stated else ''}")
        else:
            first = next(iter(stated.values()))[0].start_mark
            yield _Edit(first.index, first.index, f"prompt: {pin}\n{' ' * first.column}")


def _values(node: Any) -> dict[str, tuple[Any, Any]]:
    """Return a mapping's keys and values as PyYAML's nodes, by key."""
    return {key.value: (key, value) for key, value in node.value}
