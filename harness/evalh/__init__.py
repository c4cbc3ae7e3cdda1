"""evalh: versions, tests, a price and a merge gate for prompts.

from evalh import Workspace
Workspace.open(".").run("triage", prompt="v3").summary.cost_per_good
"""

import evalh.starting  # isort: skip  (first: what is imported below takes time)  # noqa: F401

from importlib import import_module
from typing import TYPE_CHECKING

from evalh.core.version import __version__

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace
    from evalh.core.attempt import Completion
    from evalh.core.case import Case
    from evalh.core.errors import EvalhError
    from evalh.core.run import RunResult, RunSummary
    from evalh.core.verdict import GradeContext, Outcome, Verdict
    from evalh.engine.selection import Selection
    from evalh.graders.registry import grader
    from evalh.providers.registry import provider

__all__ = [
    "Case",
    "Completion",
    "EvalhError",
    "GradeContext",
    "Outcome",
    "RunResult",
    "RunSummary",
    "Selection",
    "Verdict",
    "Workspace",
    "__version__",
    "grader",
    "provider",
]

_HOMES = {
    "Case": "core.case",
    "Completion": "core.attempt",
    "EvalhError": "core.errors",
    "GradeContext": "core.verdict",
    "Outcome": "core.verdict",
    "RunResult": "core.run",
    "RunSummary": "core.run",
    "Selection": "engine.selection",
    "Verdict": "core.verdict",
    "Workspace": "api.workspace",
    "grader": "graders.registry",
    "provider": "providers.registry",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `import evalh` stays light for a plugin file."""
    if name not in _HOMES:
        raise AttributeError(f"module 'evalh' has no attribute {name!r}")
    return getattr(import_module(f"evalh.{_HOMES[name]}"), name)
