"""evalh: versions, tests, a price and a merge gate for prompts.

from evalh import Workspace
Workspace.open(".").run("triage", prompt="v3").summary.cost_per_good
"""

import evalh.starting  # isort: skip  (first: what is imported below takes time)  # noqa: F401

from importlib import import_module
from typing import TYPE_CHECKING

from evalh.core.version import __version__

if TYPE_CHECKING:
    from evalh.api.asking.ask import ask, ask_async, stream
    from evalh.api.asking.prompts import load_prompt
    from evalh.api.workspace import Workspace
    from evalh.core.asking import (
        AnswerRefused,
        AskError,
        BudgetSpent,
        DeadlinePassed,
        InvalidInputs,
        NoAnswer,
        Reply,
        Withheld,
    )
    from evalh.core.attempt import Completion
    from evalh.core.case import Case
    from evalh.core.errors import EvalhError
    from evalh.core.run import RunResult, RunSummary
    from evalh.core.verdict import GradeContext, Outcome, Verdict
    from evalh.engine.selection import Selection
    from evalh.graders.registry import grader
    from evalh.providers.registry import provider

__all__ = [
    "AnswerRefused",
    "AskError",
    "BudgetSpent",
    "Case",
    "Completion",
    "DeadlinePassed",
    "EvalhError",
    "GradeContext",
    "InvalidInputs",
    "NoAnswer",
    "Outcome",
    "Reply",
    "RunResult",
    "RunSummary",
    "Selection",
    "Verdict",
    "Withheld",
    "Workspace",
    "__version__",
    "ask",
    "ask_async",
    "grader",
    "load_prompt",
    "provider",
    "stream",
]

_HOMES = {
    "AnswerRefused": "core.asking",
    "AskError": "core.asking",
    "BudgetSpent": "core.asking",
    "Case": "core.case",
    "Completion": "core.attempt",
    "DeadlinePassed": "core.asking",
    "EvalhError": "core.errors",
    "GradeContext": "core.verdict",
    "InvalidInputs": "core.asking",
    "NoAnswer": "core.asking",
    "Outcome": "core.verdict",
    "Reply": "core.asking",
    "RunResult": "core.run",
    "RunSummary": "core.run",
    "Selection": "engine.selection",
    "Verdict": "core.verdict",
    "Withheld": "core.asking",
    "Workspace": "api.workspace",
    "ask": "api.asking.ask",
    "ask_async": "api.asking.ask",
    "grader": "graders.registry",
    "load_prompt": "api.asking.prompts",
    "provider": "providers.registry",
    "stream": "api.asking.ask",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `import evalh` stays light for a plugin file."""
    if name not in _HOMES:
        raise AttributeError(f"module 'evalh' has no attribute {name!r}")
    return getattr(import_module(f"evalh.{_HOMES[name]}"), name)
