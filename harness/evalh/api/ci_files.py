"""The files that `evalh ci init` writes."""

import re
import shlex
from importlib.resources import files
from pathlib import Path

from evalh.core.errors import UsageError
from evalh.workspace.writing import new_file

_COMMAND = re.compile(r"\bevalh (check|gate|drift)(?= --\w|$)", re.MULTILINE)

FILES = {
    "github": ("github/evalh.yml", ".github/workflows/evalh.yml"),
    "github-nightly": ("github/evalh-drift.yml", ".github/workflows/evalh-drift.yml"),
    "gitlab": ("gitlab/evalh.gitlab-ci.yml", ".gitlab/evalh.gitlab-ci.yml"),
    "gitlab-nightly": ("gitlab/evalh-drift.gitlab-ci.yml", ".gitlab/evalh-drift.gitlab-ci.yml"),
    "pre-commit": ("pre-commit/pre-commit.yaml", ".pre-commit-config.yaml"),
}
"""By service: where the file is in this package, and where it belongs in a repository."""


def ci_file(service: str, folder: str = "") -> str:
    """Return the text of a service's file for a workspace in this folder of the repository; "": its root."""
    text = (files("evalh.api") / "ci" / FILES[service][0]).read_text(encoding="utf-8")
    if not folder:
        return text
    quoted = shlex.quote(folder)
    return _COMMAND.sub(lambda found: f"evalh -C {quoted} {found[1]}", text)


def write_ci_file(root: Path, service: str, folder: str = "") -> str:
    """Write a service's file below a repository's root; return its name, relative to that.

    Raises UsageError where there is such a file already: it is never overwritten.
    """
    name = FILES[service][1]
    try:
        with new_file(root / name, replace=False) as file:
            file.write(ci_file(service, folder).encode())
    except FileExistsError:
        hint = f"evalh ci init {service} --print shows what would stand there"
        raise UsageError("there is such a file already", where=name, hint=hint) from None
    return name
