"""Suites: `evals/<name>.yaml`."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from msgspec.structs import replace

from evalh.core.errors import EvalhError, NotFound, WorkspaceError, did_you_mean
from evalh.core.located import Located, Table, kind_of
from evalh.core.ports import Tree
from evalh.core.prompt import PromptRef
from evalh.core.strict_json import JsonValue
from evalh.core.suite import ADVISORY, GraderSpec, Suite
from evalh.workspace.config import Config
from evalh.workspace.files import label, parts_of, read_text
from evalh.workspace.policies import BASELINE_KEYS, GATE_KEYS, VALUE_KEYS, baseline_policy, gate_policy, read_value
from evalh.workspace.yaml import parse_yaml

MOST_TRIALS = 1000
_SUFFIX = ".yaml"
_GRADERS = {"type": "array", "items": {"$ref": "#/$defs/grader"}}
_KEYS: Mapping[str, dict[str, Any]] = {
    "description": {"type": "string", "description": "What the suite is for; for people."},
    "prompt": {"type": "string", "minLength": 1, "description": "The prompt's name: the folder prompts/<name>."},
    "dataset": {
        "type": "string",
        "minLength": 1,
        "description": "The dataset's name: datasets/<name>.jsonl or .csv; or a path that ends so.",
    },
    "model": {"type": "string", "minLength": 1, "description": "A model or route of evalh.toml; --model goes first."},
    "owner": {"type": "string", "minLength": 1, "description": "Who answers for the suite."},
    "trials": {
        "type": "integer",
        "minimum": 1,
        "maximum": MOST_TRIALS,
        "description": "How often each case is run. Default: 1.",
    },
    "max_ungraded": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "The share of ungraded samples above which a run could not measure (exit 4). Default: 0.02.",
    },
    "graders": {**_GRADERS, "minItems": 1, "description": "What makes an output good. One at least is required."},
    "compare": {**_GRADERS, "description": "Graders that need both sides of a comparison."},
    "gate": {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(GATE_KEYS),
        "description": "The merge gate's policy.",
    },
    "baseline": {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(BASELINE_KEYS),
        "description": "What holds for the suite's accepted results.",
    },
    "value": {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(VALUE_KEYS),
        "description": "What outputs cost downstream, in USD.",
    },
}
_NEEDED = ("prompt", "dataset", "graders")
_REQUIRED = "Whether an output must pass it to be good. Default: true; of embedding_similarity: false."


def suite_names(tree: Tree, config: Config) -> tuple[str, ...]:
    """Return the names of the suites, sorted."""
    return tuple(name.removesuffix(_SUFFIX) for name in tree.names(config.evals_dir) if name.endswith(_SUFFIX))


def suite_path(config: Config, name: str) -> str:
    """Return where a suite's file lies."""
    return f"{config.evals_dir}/{name}{_SUFFIX}"


def load_suite(tree: Tree, config: Config, name: str) -> Suite:
    """Read a suite. Raises NotFound, which lists the suites there are, and WorkspaceError with file and line."""
    path = suite_path(config, name)
    if name not in suite_names(tree, config):
        other = path.removesuffix(_SUFFIX) + ".yml"
        misnamed = "/" not in name and tree.exists(other)
        hint = f"rename {other} to {path}" if misnamed else did_you_mean(name, suite_names(tree, config))
        raise NotFound(f"no suite {name!r}", where=label(tree, config.evals_dir), hint=hint)
    located = parse_yaml(read_text(tree, path), label(tree, path))
    table = Table(located, located.value)
    table.refuse_unknown(_KEYS)
    table.text("description")
    max_ungraded = table.number("max_ungraded", high=1.0)
    graders = _required_graders(table, located)
    value = read_value(table, graders)
    gate = gate_policy(table.table("gate"), [grader.name for grader in graders])
    if gate.net_loss_may_rise is not None and value is None:
        raise WorkspaceError(
            "'net_loss' needs to know what a bad output costs",
            where=table.table("gate").where("net_loss"),
            hint="value: {bad_usd: 0.50}, beside gate",
        )
    return Suite(
        name=name,
        prompt=_prompt(table),
        dataset=_dataset(table),
        model=table.text("model"),
        owner=table.text("owner"),
        trials=table.count("trials", MOST_TRIALS) or 1,
        max_ungraded=0.02 if max_ungraded is None else float(max_ungraded),
        graders=graders,
        compare=_graders(table, located, "compare"),
        gate=gate,
        baseline=baseline_policy(table.table("baseline")),
        value=value,
        where=table.where(),
        places={key: table.where(key) for key in table.values},
    )


def suite_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a suite file, published as schemas/suite.schema.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "evalh suite",
        "description": "evals/<name>.yaml: a prompt, a dataset, graders, and what is asked of them.",
        "type": "object",
        "additionalProperties": False,
        "required": list(_NEEDED),
        "properties": dict(_KEYS),
        "$defs": {
            "grader": {
                "description": "A grader's kind, or one `kind: parameters`; anything but a mapping is its `value`.",
                "oneOf": [
                    {"type": "string", "minLength": 1},
                    {
                        "type": "object",
                        "minProperties": 1,
                        "maxProperties": 1,
                        "additionalProperties": {
                            "properties": {
                                "required": {
                                    "type": "boolean",
                                    "description": _REQUIRED,
                                },
                                "name": {"type": "string", "minLength": 1, "description": "What reports print."},
                            }
                        },
                    },
                ],
            }
        },
    }


def _dataset(table: Table) -> str:
    name = table.needed_text("dataset", hint="dataset: <name>")
    try:
        parts_of(name)
    except EvalhError as exc:
        raise WorkspaceError(exc.what, where=table.where("dataset"), hint=exc.hint) from None
    return name


def _prompt(table: Table) -> str:
    text = table.needed_text("prompt", hint="prompt: <name>")
    where = table.where("prompt")
    try:
        ref = PromptRef.parse(text)
    except EvalhError as exc:
        raise WorkspaceError(exc.what, where=where, hint="prompt: <name>") from None
    if ref.version or ref.revision or ref.name is None:
        raise WorkspaceError(
            f"a suite names a prompt, not a version of one: {text!r}",
            where=where,
            hint=f"prompt: {ref.name or '<name>'}; the version is chosen by --prompt, or by `live` in evalh.toml",
        )
    return text


def _required_graders(table: Table, located: Located) -> tuple[GraderSpec, ...]:
    graders = _graders(table, located, "graders")
    if not any(grader.required for grader in graders):
        what = "no grader is required: every output would be good" if graders else "the suite has no graders"
        raise WorkspaceError(what, where=table.where("graders"), hint="graders: [schema]")
    return graders


def _graders(table: Table, located: Located, key: str) -> tuple[GraderSpec, ...]:
    entries = table.values.get(key, [])
    if not isinstance(entries, list):
        raise WorkspaceError(f"{key!r} must be a list, not {kind_of(entries)}", where=table.where(key))
    read = [_grader(entry, located, (key, number)) for number, entry in enumerate(entries)]
    return tuple(_named(read))


def _grader(entry: JsonValue, located: Located, path: tuple[str, int]) -> GraderSpec:
    """Read one entry; its name is empty where the entry gives none."""
    where = located.where(*path)
    if isinstance(entry, str) and entry.strip():
        return GraderSpec(kind=entry, name="", required=entry not in ADVISORY, where=where)
    if not isinstance(entry, dict) or not entry or not next(iter(entry)):
        raise WorkspaceError(
            f"a grader is a name or one `name: parameters`, not {kind_of(entry)}", where=where, hint="- schema"
        )
    kind = next(iter(entry))
    if len(entry) > 1:
        raise WorkspaceError(
            f"one grader per entry; this one has the keys {', '.join(map(repr, entry))}",
            where=where,
            hint=f"write parameters inside it: - {kind}: {{…}}",
        )
    params = entry[kind]
    if params is None:
        params = {}
    if not isinstance(params, dict):
        return GraderSpec(kind=kind, name="", params={"value": params}, required=kind not in ADVISORY, where=where)
    given = Table(located, params, (*path, kind))
    required = params.get("required", kind not in ADVISORY)
    if not isinstance(required, bool):
        raise WorkspaceError(
            f"'required' must be true or false, not {kind_of(required)}", where=given.where("required")
        )
    return GraderSpec(
        kind=kind,
        name=given.text("name") or "",
        params={key: value for key, value in params.items() if key not in ("required", "name")},
        required=required,
        where=where,
    )


def _named(graders: list[GraderSpec]) -> Iterator[GraderSpec]:
    """Give each grader a name of its own: as given, else its kind; with its path or number if the kind comes twice."""
    taken: dict[str, str] = {}
    for grader in graders:
        if grader.name in taken:
            raise WorkspaceError(
                f"two graders are called {grader.name!r}", where=grader.where, hint=f"the other: {taken[grader.name]}"
            )
        if grader.name:
            taken[grader.name] = grader.where
    wishes = Counter(wish for grader in graders if not grader.name for wish in _wishes(grader))
    numbers: Counter[str] = Counter()
    for grader in graders:
        if grader.name:
            yield grader
            continue
        kind = grader.kind
        numbers[kind] += 1
        free = (wish for wish in _wishes(grader) if wishes[wish] == 1 and wish not in taken)
        numbered = (f"{kind}(#{number})" for number in count(numbers[kind]))
        name = next(free, None) or next(name for name in numbered if name not in taken)
        taken[name] = grader.where
        yield replace(grader, name=name)


def _wishes(grader: GraderSpec) -> list[str]:
    path = grader.params.get("path")
    return [grader.kind, f"{grader.kind}({path})"] if isinstance(path, str) else [grader.kind]
