"""The files that `evalh ci init` writes.

Also writes `gate: {doubt: …}` into the suites that do not state it.
"""

import re
import shlex
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from evalh.api.parts import Parts
from evalh.core.errors import EvalhError, UsageError
from evalh.core.suite import Doubt
from evalh.core.values import Value
from evalh.workspace.suites import suite_path
from evalh.workspace.writing import new_file
from evalh.workspace.yaml import parse_yaml

_COMMAND = re.compile(r"\bevalh (check|gate|drift)(?= --\w|$)", re.MULTILINE)

FILES = {
    "github": ("github/evalh.yml", ".github/workflows/evalh.yml"),
    "github-nightly": ("github/evalh-drift.yml", ".github/workflows/evalh-drift.yml"),
    "gitlab": ("gitlab/evalh.gitlab-ci.yml", ".gitlab/evalh.gitlab-ci.yml"),
    "gitlab-nightly": ("gitlab/evalh-drift.gitlab-ci.yml", ".gitlab/evalh-drift.gitlab-ci.yml"),
    "pre-commit": ("pre-commit/pre-commit.yaml", ".pre-commit-config.yaml"),
}
"""By service: where the file is in this package, and where it belongs in a repository."""


def place_in_repository(parts: Parts) -> tuple[Path, str]:
    """Return the repository's root, and the workspace's folder in it. Without git the workspace is the root."""
    root, repository = parts.root.resolve(), parts.repository
    top = root if repository is None else repository.top
    folder = root.relative_to(top).as_posix()
    return top, "" if folder == "." else folder


def ci_file(service: str, folder: str = "") -> str:
    """Return the text of a service's file for a workspace in this folder of the repository; "": its root."""
    text = (files("evalh.api") / "ci" / FILES[service][0]).read_text(encoding="utf-8")
    if not folder:
        return text
    quoted = shlex.quote(folder)
    return _COMMAND.sub(lambda found: f"evalh -C {quoted} {found[1]}", text)


def write_ci_file(root: Path, service: str, folder: str = "") -> str:
    """Write a service's file below a repository's root; return its name, relative to that.

    Raises UsageError if the file exists already; nothing was written: it is never overwritten.
    """
    name = FILES[service][1]
    try:
        with new_file(root / name, replace=False) as file:
            file.write(ci_file(service, folder).encode())
    except FileExistsError:
        hint = f"evalh ci init {service} --print   prints the text"
        raise UsageError("the file exists already; nothing was written", where=name, hint=hint) from None
    return name


class Said(StrEnum):
    """The state of a suite's `doubt` key after writing it."""

    WRITTEN = "written"
    ALREADY = "already"  # it says so, or that is the default
    OTHERWISE = "otherwise"  # its own word stays
    BY_HAND = "by_hand"  # the file is written in a way that is not edited here


class SuiteDoubt(Value):
    """One suite's file, and how it stands."""

    path: str
    said: Said
    now: str | None = None  # where the suite says otherwise: what


def say_doubt(parts: Parts, doubt: Doubt) -> tuple[SuiteDoubt, ...]:
    """Write the `doubt` key into every suite that does not state it. Raises EvalhError if it cannot write."""
    return tuple(_say(parts, suite_path(parts.config, name), doubt) for name in parts.suites())


def _say(parts: Parts, path: str, doubt: Doubt) -> SuiteDoubt:
    try:
        data = parts.tree.read(path)
        text = data.decode()
        policy = _policy(text, path)
    except (EvalhError, UnicodeDecodeError):  # `evalh check` says what is wrong with it
        return SuiteDoubt(path, Said.BY_HAND)
    if "doubt" in policy or doubt is Doubt.ACCEPT:
        now = str(policy.get("doubt", Doubt.ACCEPT))
        return SuiteDoubt(path, Said.ALREADY) if now == doubt else SuiteDoubt(path, Said.OTHERWISE, now)
    new = with_doubt(text, path, doubt)
    if new is None:
        return SuiteDoubt(path, Said.BY_HAND)
    with new_file(parts.root / path) as file:
        file.write(new.encode())
    return SuiteDoubt(path, Said.WRITTEN)


def with_doubt(text: str, path: str, doubt: Doubt) -> str | None:
    """Return a suite's text with one line or one key more; None if that would change anything else in it."""
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    place = next((number for number, line in enumerate(lines) if line.startswith("gate:")), None)
    if place is None:
        closed = text if text.endswith(("\n", "\r")) else text + end
        new = f"{closed}gate:{end}  doubt: {doubt}{end}"
    else:
        head, brace, rest = lines[place].partition("{")
        if brace and head.strip() == "gate:":
            comma = "" if rest.lstrip().startswith("}") else ", "
            lines[place] = f"{head}{{doubt: {doubt}{comma}{rest}"
        else:
            below = (line for line in lines[place + 1 :] if line.strip() and not line.lstrip().startswith("#"))
            first = next(below, "")
            indent = first[: len(first) - len(first.lstrip())] or "  "
            lines[place] = lines[place] if lines[place].endswith(("\n", "\r")) else lines[place] + end
            lines.insert(place + 1, f"{indent}doubt: {doubt}{end}")
        new = "".join(lines)
    return new if _adds_only(text, new, path, doubt) else None


def _adds_only(text: str, new: str, path: str, doubt: Doubt) -> bool:
    """Whether the new text says the same as the old one, plus the `doubt` key."""
    try:
        old, now = parse_yaml(text, path).value, parse_yaml(new, path).value
    except EvalhError:
        return False
    return isinstance(old, dict) and now == {**old, "gate": {**(old.get("gate") or {}), "doubt": str(doubt)}}


def _policy(text: str, path: str) -> dict[str, object]:
    suite = parse_yaml(text, path).value
    policy = suite.get("gate") if isinstance(suite, dict) else None
    return policy if isinstance(policy, dict) else {}
