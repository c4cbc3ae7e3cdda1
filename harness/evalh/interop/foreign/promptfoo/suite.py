"""From a promptfoo config to a transfer: prompts, models, tests and assertions put together."""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from shlex import quote
from typing import Any

from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.promptfoo.assertions import AssertionReader
from evalh.interop.foreign.promptfoo.judges import Judges
from evalh.interop.foreign.promptfoo.kept_code import KeptCode
from evalh.interop.foreign.promptfoo.nodes import Node, root_of
from evalh.interop.foreign.promptfoo.oracle import Rendering, find_engine, verify
from evalh.interop.foreign.promptfoo.prompts import ForeignPrompt, PromptReader
from evalh.interop.foreign.promptfoo.providers import ForeignModel, ProviderReader
from evalh.interop.foreign.promptfoo.rows import ForeignRows, RowWriter
from evalh.interop.foreign.promptfoo.sources import SourceFiles, config_file
from evalh.interop.foreign.promptfoo.tests import ForeignTest, TestReader, inherited
from evalh.interop.foreign.promptfoo.variables import Variables
from evalh.interop.foreign.promptfoo.versions import new_version
from evalh.interop.foreign.transfer import (
    Fidelity,
    ImportRequest,
    NewDataset,
    NewVersion,
    ProofSheet,
    Subject,
    Transfer,
    free_name,
    slug,
)

_READ = frozenset({"description", "prompts", "providers", "targets", "tests", "scenarios", "defaultTest", "env"})
_READ |= {"evaluateOptions", "$schema", "assertionTemplates", "commandLineOptions"}
_NOTES = {
    "sharing": "results stay on this machine",
    "outputPath": "evalh report writes files",
    "tags": "tags of a whole config are not carried over",
    "writeLatestResults": "every run is in the log",
}
_LOST = {
    "redteam": ("promptfoo generates the attacks", "import the file of tests that it generates"),
    "derivedMetrics": ("formulas over scores", "evalh sql reads the verdicts"),
    "extensions": ("programs that run around a test", "a `python` model, or a pipeline"),
    "nunjucksFilters": ("filters that are programs", "write the value into an input"),
    "assertScoringFunction": ("a program that computes the score", "`weighted`, or a `python` grader"),
    "tracing": ("promptfoo reads spans", "evalh collect"),
}
_CHAINS = ("storeOutputAs", "conversationId")
_THRESHOLD = "PROMPTFOO_PASS_RATE_THRESHOLD"
_PERCENT = 100
_MOST_TRIALS = 1000


def read_suite(request: ImportRequest) -> Transfer:
    """Read a config and the files that it names. Raises EvalhError where it cannot be read at all."""
    sheet = ProofSheet()
    path = config_file(request.source).resolve()
    files = SourceFiles(path, sheet)
    root = root_of(path, files)
    if not isinstance(root.value, Mapping):
        raise WorkspaceError("is not a promptfoo config: a mapping with prompts and tests", where=root.where)
    return _Config(request, root, files, sheet).transfer()


class _Config:
    """Reads one config."""

    def __init__(self, request: ImportRequest, root: Node, files: SourceFiles, sheet: ProofSheet) -> None:
        self._root, self._sheet, self._request = root, sheet, request
        self._code = KeptCode(files, request.into, allowed=request.allow_code)
        self._providers = ProviderReader(sheet, self._code, request.taken)
        self._judges = Judges(root, self._providers, sheet)
        self._prompts = PromptReader(sheet)
        self._tests = TestReader(sheet)
        self._variables = Variables(files, sheet)
        self._written: list[tuple[ForeignPrompt, NewVersion]] = []
        described = root.text("description") or ""
        self._name = slug(request.name or described) or slug(files.base.name) or "promptfoo"

    def transfer(self) -> Transfer:
        """Read everything, in promptfoo's order."""
        self._tell_keys()
        models = self._providers.models(self._root)
        prompts = list(self._prompts.prompts(self._root.raw("prompts")))
        default = self._tests.default(self._root)
        tests = [inherited(test, default) for test in self._tests.tests(self._root)]
        objects = any(model.objects for model in models)
        self._tell_chains(tests)
        reader = AssertionReader(self._sheet, self._code, self._judges.of)
        writer = RowWriter(reader, self._variables, self._sheet, _first_output(models, self._sheet))
        rows = writer.rows(tests, default, objects=objects)
        transfer = Transfer(sheet=self._sheet)
        if rows.rows:
            self._write_groups(transfer, prompts, models, rows)
            transfer.datasets.append(NewDataset(self._name, rows.rows))
        else:
            self._sheet.add(Fidelity.NOT, self._root.where, "tests", "none is carried over", subject=Subject.CASE)
        if self._request.engine is not None:
            engine = find_engine(self._request.engine, self._request.source)
            verify(engine, list(self._renderings(rows)), self._sheet)
        for model in (*models, *self._judges.models):
            transfer.models[model.name] = dict(model.table)
        self._write_recording(transfer, rows)
        transfer.files |= {**self._code.written, **self._variables.media}
        return transfer

    def _write_groups(
        self, transfer: Transfer, prompts: Sequence[ForeignPrompt], models: Sequence[ForeignModel], rows: ForeignRows
    ) -> None:
        """Write a prompt and a suite for the models that are asked all prompts, and for each other choice."""
        groups: dict[tuple[str, ...] | None, list[ForeignModel]] = {}
        for model in models:
            groups.setdefault(model.prompts, []).append(model)
        if not groups:
            groups[None] = []
            do = "add a table [models.…] to evalh.toml, and name it in the suite"
            self._sheet.add(Fidelity.NOTE, self._root.where, "providers", "none is carried over", do=do)
        for chosen, members in sorted(groups.items(), key=lambda item: item[0] is not None):
            name = self._name if not transfer.suites else free_name(f"{self._name}-{members[0].name}", transfer.suites)
            mine = prompts if chosen is None else [one for one in prompts if _is_chosen(one, chosen)]
            versions = [(one, new_version(one, self._prompts, rows, members, self._sheet)) for one in mine]
            written = [version for _, version in versions if version is not None]
            self._written += [(prompt, version) for prompt, version in versions if version is not None]
            if not written:
                self._sheet.add(
                    Fidelity.NOT, self._root.where, "prompts", "none is carried over", subject=Subject.PROMPT
                )
                continue
            transfer.prompts[name] = written
            transfer.suites[name] = self._suite(name, members, rows)
            if len(written) > 1:
                self._note(
                    "prompts", f"{len(written)} prompts are versions of one", f"evalh compare {quote(name)} v1 v2"
                )
            if len(members) > 1:
                others = ", ".join(member.name for member in members[1:])
                self._note(
                    "providers", f"the suite asks {members[0].name}", f"evalh run {quote(name)} --model …: {others}"
                )

    def _renderings(self, rows: ForeignRows) -> Iterator[Rendering]:
        """Yield every prompt with every row, as the source has them and as they are written."""
        for prompt, version in self._written:
            for row, values in zip(rows.rows, rows.values, strict=True):
                inputs = row["inputs"]
                begin, end = (inputs["prompt_prefix"], inputs["prompt_suffix"]) if rows.varying else rows.around
                raw = f"{begin}{prompt.text}{end}"
                yield Rendering(raw=raw, values=values, version=version, row=row, where=prompt.where)

    def _suite(self, name: str, members: Sequence[ForeignModel], rows: ForeignRows) -> dict[str, JsonValue]:
        suite: dict[str, Any] = {"prompt": name, "dataset": self._name}
        if members:
            suite["model"] = members[0].name
        if described := self._root.text("description"):
            suite["description"] = " ".join(described.split())
        if (trials := self._trials(rows)) > 1:
            suite["trials"] = trials
        suite["graders"] = [*rows.graders]
        threshold = self._root.child("env").child(_THRESHOLD).value
        try:
            share = float(threshold) / _PERCENT
        except (TypeError, ValueError):
            return suite
        if 0 < share <= 1:
            suite["gate"] = {"good_rate": {"at_least": share}}
        return suite

    def _trials(self, rows: ForeignRows) -> int:
        value = self._root.child("evaluateOptions").child("repeat").value or rows.repeat
        return value if isinstance(value, int) and 1 < value <= _MOST_TRIALS else 1

    def _write_recording(self, transfer: Transfer, rows: ForeignRows) -> None:
        if not rows.outputs:
            return
        path = f"recorded/{self._name}.jsonl"
        transfer.recordings[path] = [{"id": case, "output": text} for case, text in rows.outputs.items()]
        name = free_name("recorded", {*transfer.models, *self._request.taken})
        transfer.models[name] = {"provider": "replay", "path": path}
        self._note(
            "providerOutput",
            f"{len(rows.outputs)} answers are recorded",
            f"evalh run {quote(self._name)} --model {quote(name)}",
        )

    def _note(self, what: str, why: str, do: str | None = None) -> None:
        self._sheet.add(Fidelity.NOTE, self._root.where, what, why, do=do)

    def _tell_keys(self) -> None:
        for key in self._root.names:
            where = self._root.document.where(key)
            if key in _LOST and self._root.has(key):
                self._sheet.add(Fidelity.NOT, where, key, _LOST[key][0], do=_LOST[key][1])
            elif key in _NOTES:
                self._sheet.add(Fidelity.NOTE, where, key, _NOTES[key])
            elif key == "env":
                for name in self._root.child("env").names:
                    if name != _THRESHOLD:
                        place = self._root.document.where("env", name)
                        self._sheet.add(
                            Fidelity.NOTE, place, f"env.{name}", "evalh.toml sets no variables", do="set it"
                        )
            elif key not in _READ and not key.startswith("x-"):
                self._sheet.add(Fidelity.NOTE, where, f"key {key!r}", "promptfoo does not know this key and ignores it")

    def _tell_chains(self, tests: Sequence[ForeignTest]) -> None:
        for test in tests:
            for key in _CHAINS:
                if key in test.options or key in test.metadata:
                    why = "one test uses another's output"
                    self._sheet.add(Fidelity.NOT, test.where, key, why, subject=Subject.CASE, do="a pipeline of steps")


def _first_output(models: Sequence[ForeignModel], sheet: ProofSheet) -> JsonValue:
    """Return what all models do to their outputs; where they differ, it is told."""
    stated = [model.output for model in models]
    if any(one != stated[0] for one in stated):
        where = next(model.where for model in models if model.output)
        do = "a suite for each of them"
        sheet.add(
            Fidelity.NOT,
            where,
            "transform of a provider",
            "the providers have different transforms",
            subject=Subject.MODEL,
            do=do,
        )
        return None
    return stated[0] if stated else None


def _is_chosen(prompt: ForeignPrompt, chosen: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, one) or name.startswith(f"{one}:") for name in prompt.names for one in chosen)
