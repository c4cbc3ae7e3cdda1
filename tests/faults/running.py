"""Running the command line against a fault server, and reading what it left."""

import contextlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

from evalh.cli.main import _run
from faults.dialects import OPENAI, Dialect
from faults.fault_server import FaultServer, Script, fault_server
from workspaces import write_workspace

KEY = "sk-live-5d0c7be91f3a"
EVERY_KIND = '["rate_limit", "overload", "timeout", "network", "bad_response"]'
"""All that a retry may be declared for."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    exit: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """The one result of `run --json`."""
        (result,) = json.loads(self.out)["results"]
        assert isinstance(result, dict)
        return result


def here(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
    """Run the real command line inside this process: a fault costs milliseconds, not an interpreter's start."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["evalh", "-C", str(folder), *arguments]),
        patch.dict(os.environ, {"TEST_KEY": KEY, **(env or {})}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = _run(out)
    return Done(int(code), out.getvalue(), err.getvalue())


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command line as a process of its own, for what may happen to one."""
    command = [sys.executable, "-m", "evalh", "-C", str(folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(true: Callable[[], object], within_s: float = 60.0) -> None:
    """Wait for something that must come true."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def run(folder: Path, *arguments: str, model: str = "careful") -> Done:
    """Run the suite on a model or route."""
    return here(folder, "run", "--json", "--model", model, *arguments)


def workspace(folder: Path, models: Mapping[str, str], routes: Mapping[str, str], *, cases: int) -> Path:
    """Write a workspace; models and routes by name, the bodies of their tables. One model is called `small`."""
    tables = [models["small"]]
    tables += [f"[models.{name}]\n{body}" for name, body in models.items() if name != "small"]
    tables += [f"[routes.{name}]\n{body}\n" for name, body in routes.items()]
    return write_workspace(folder, cases=cases, model="\n".join(tables))


def two_versions(folder: Path, suite: str, answers: str, judge: str, *, cases: int) -> Path:
    """Write a workspace whose second version sorts carefully, and the model `strong` that judges."""
    write_workspace(folder, cases=cases)
    config = folder / "evalh.toml"
    config.write_text(f"{config.read_text()}\n[models.strong]\n{judge}")
    text = (folder / "prompts/triage/v1.prompt").read_text()
    free = text.replace("output:\n  format: json\n  schema: {label(enum): [billing, bug]}\n", "")
    assert free != text
    (folder / "prompts/triage/v1.prompt").write_text(free)
    (folder / "prompts/triage/v2.prompt").write_text(free.replace("Sort", "Sort carefully"))
    (folder / "evals/answers.py").write_text(answers)
    (folder / "evals/triage.yaml").write_text(suite)
    return folder


@contextmanager
def served(
    folder: Path,
    script: Script,
    routes: str | Mapping[str, str] = MappingProxyType({}),
    *,
    cases: int,
    dialect: Dialect = OPENAI,
    models: Mapping[str, str | None] = MappingProxyType({"small": None}),
    **config: str,
) -> Iterator[tuple[FaultServer, Path]]:
    """Serve a script, to the models of a workspace; one route is called `careful`.

    `models`: their names there by their names in the workspace.
    """
    with fault_server(script) as server:
        tables = {name: dialect.config(server.port, model=model, **config) for name, model in models.items()}
        yield server, workspace(folder, tables, {"careful": routes} if isinstance(routes, str) else routes, cases=cases)


two_models = partial(served, models={"small": "cheap-1", "strong": "strong-1"})


def rows(folder: Path, sql: str) -> list[dict[str, Any]]:
    """Ask the log."""
    with contextlib.closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(sql)]


def decisions(folder: Path, *kinds: str) -> list[dict[str, Any]]:
    """Return the decisions of these kinds (all if none), `detail` parsed."""
    found = rows(folder, "select kind, reason, detail, call_id from decisions order by at, id")
    return [{**row, "detail": json.loads(row["detail"])} for row in found if not kinds or row["kind"] in kinds]
