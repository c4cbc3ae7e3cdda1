"""Writing prompts: a new draft, and a draft frozen as the next version."""

from functools import partial
from pathlib import Path

from evalh.core.errors import UsageError, WorkspaceError
from evalh.core.prompt import DRAFT, PromptRef, version_number
from evalh.workspace.prompt.bodies import BodyParser
from evalh.workspace.prompt.prompts import Prompts
from evalh.workspace.prompt.templates import grammar_of
from evalh.workspace.prompt.versions import cut
from evalh.workspace.writing import new_file


def new(root: Path, prompts: Prompts, name: str, text: str) -> Path:
    """Write the first draft of a prompt. Raises UsageError if the prompt is there, WorkspaceError for bad text."""
    try:
        nameable = PromptRef.parse(f"{name}@{DRAFT}").name == name
    except UsageError:
        nameable = False
    if not nameable or any(part in ("", ".", "..") for part in name.split("/")):
        raise UsageError(f"{name!r} is not a prompt's name", hint="letters, digits, . _ -; folders with /")
    if name in prompts.names():
        raise UsageError(f"prompt {name!r} is there", hint=f"edit it, or release it: evalh prompt release {name}")
    text = text.replace("\r\n", "\n")
    prompts.parse(name, DRAFT, text)
    return _write(root, prompts.path(name, DRAFT), text)


def release(root: Path, prompts: Prompts, name: str) -> Path:
    """Freeze a prompt's draft as its next version; the draft stays. Raises EvalhError.

    Partials are written out into the frozen file, so that editing a partial later never changes a frozen version.
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
    source = cut(text, draft.path)
    reader = BodyParser(grammar_of(draft.dialect), partial(prompts.partial, name))
    frozen = text.removesuffix(source.body) + reader.inline(source.body, draft.path, source.body_line)
    version = f"v{(version_number(newest) or 0) + 1 if newest else 1}"
    if prompts.parse(name, version, frozen).digest != draft.digest:
        raise WorkspaceError(
            "with its partials written out the draft would say something else", where=draft.path, hint="write them out"
        )
    return _write(root, prompts.path(name, version), frozen)


def _digest_or_none(prompts: Prompts, name: str, version: str) -> str | None:
    try:
        return prompts.load(name, version).digest
    except WorkspaceError:  # `evalh check` reports it; a release does not wait for it
        return None


def _write(root: Path, path: str, text: str) -> Path:
    """Create a file whole or not at all. Raises EvalhError if it is there or cannot be written."""
    target = root / path
    try:
        with new_file(target, replace=False) as file:
            file.write(text.encode())
    except FileExistsError as exc:
        raise UsageError("is already there", hint="somebody was faster; look at it") from exc
    return target
