"""The formats of other programs, by name: each module is imported when its format is asked for."""

from importlib import import_module
from typing import cast

from evalh.interop.foreign.transfer import SuiteReader

_READERS = {
    "promptfoo": "promptfoo.suite",
    "rows": "rows",
    "github-prompt": "github_prompt",
    "langfuse-dataset": "langfuse_dataset",
    "inspect": "inspect_data",
    "openai-evals": "openai_evals.suite",
    "oaieval": "oaieval",
}
"""By format: the module below this package whose `read_suite` reads it."""


def reader_of(form: str) -> SuiteReader:
    """Return what reads a format, by its name."""
    module = import_module(f"{__package__}.{_READERS[form]}")
    return cast("SuiteReader", module.read_suite)
