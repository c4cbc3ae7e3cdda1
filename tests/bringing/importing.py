"""Imports of suites in tests: one call, and what it wrote. Not a test itself."""

import json
from pathlib import Path
from typing import Any

from command_line import Done, command_line
from evalh.workspace.yaml import parse_yaml


class Import:
    """What `evalh import FORM SOURCE` wrote into a folder of its own."""

    def __init__(self, folder: Path, form: str, source: Path, *more: str) -> None:
        self.folder = folder / "out"
        arguments = ("import", form, str(source), "--into", str(self.folder), "--json", *more)
        self.done: Done = command_line()(folder, *arguments)
        self.told = self.done.out + self.done.err  # an error is a document too

    @property
    def document(self) -> dict[str, Any]:
        assert self.done.out, self.done.err
        return self.done.document

    def rows(self, name: str | None = None) -> list[dict[str, Any]]:
        files = sorted((self.folder / "datasets").glob(f"{name or '*'}.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]

    def suite(self, name: str | None = None) -> dict[str, Any]:
        (file,) = (self.folder / "evals").glob(f"{name or '*'}.yaml")
        return parse_yaml(file.read_text("utf-8"), file.name).value

    def prompt(self, version: str = "v1") -> str:
        (file,) = (self.folder / "prompts").glob(f"*/{version}.prompt")
        return file.read_text("utf-8")

    def items(self, status: str) -> list[str]:
        return [f"{one['what']}: {one['why']}" for one in self.document["items"] if one["status"] == status]

    def check(self) -> Done:
        """Check what was written, as a workspace."""
        return command_line()(self.folder, "check")

    def run(self, *more: str) -> dict[str, Any]:
        """Run the suite, and return its only result; only recordings answer here."""
        done = command_line()(self.folder, "run", *more, "--json")
        (result,) = done.document["results"]
        return result
