"""The documents tell the truth: every grader and parameter is in the reference, every example is run."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest
import yaml
from pydantic.fields import FieldInfo

from evalh.api.targets import WorkspaceTexts
from evalh.core.attempt import Logprobs
from evalh.core.case import ABSENT
from evalh.core.declared import keys_of
from evalh.core.verdict import StepOutput
from evalh.graders.registry import BUILT_IN, built_in_kind
from evalh.plugins import function_loader, load_plugins
from evalh.workspace.files import WorkTree

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (DOCS / "reference/graders.md").read_text(encoding="utf-8")
GUIDE = (DOCS / "guide/own-grader.md").read_text(encoding="utf-8")

_EXAMPLE = re.compile(r"^```yaml\n(?P<entry>- .*?)^```\n\n(?P<table>(?:\|[^\n]*\n)+)", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^```python\n# (?P<path>\S+\.py)\n(?P<source>.*?)^```$", re.MULTILINE | re.DOTALL)
_SCRIPT = re.compile(r"^```js\n// (?P<path>\S+\.js)\n(?P<source>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    entry: object
    row: dict[str, str]


def examples(text: str) -> Iterator[Example]:
    for found in _EXAMPLE.finditer(text):
        (entry,) = yaml.safe_load(found["entry"])
        head, _, *rows = [re.split(r"\s*\|\s*", line)[1:-1] for line in found["table"].splitlines()]
        for row in rows:
            yield Example(entry, dict(zip(head, row, strict=True)))


def written(cell: str) -> str:
    """Read a table's cell: code in backticks or in <code>, with a sign for line ends."""
    inner = re.fullmatch(r"`(.*)`|<code>(.*)</code>", cell)
    assert inner, cell
    return unescape(inner[1] or inner[2] or "").replace("⏎", "\n")


def sections() -> dict[str, str]:
    parts = re.split(r"^## ", REFERENCE, flags=re.MULTILINE)
    return {found[1]: part for part in parts if (found := re.match(r"`(\w+)`\n", part))}


@pytest.fixture
def workspace(tmp_path: Path):
    """The files that the documents show."""
    paths = []
    for found in _FILE.finditer(REFERENCE + GUIDE):
        file = tmp_path / found["path"]
        file.parent.mkdir(exist_ok=True)
        file.write_text(found["source"], encoding="utf-8")
        paths.append(found["path"])
    plugins = [path for path in paths if "@grader" in (tmp_path / path).read_text(encoding="utf-8")]
    for found in _SCRIPT.finditer(REFERENCE):
        (tmp_path / found["path"]).write_text(found["source"], encoding="utf-8")
    texts = WorkspaceTexts(WorkTree(tmp_path), lambda revision: None)
    return {"load_function": function_loader(tmp_path), "kinds": load_plugins(tmp_path, plugins), "texts": texts}


@pytest.mark.parametrize(
    "example", [*examples(REFERENCE), *examples(GUIDE)], ids=lambda example: json.dumps(example.entry)[:60]
)
def test_every_example_is_judged_as_it_says(build_grader, make_context, ask, says, workspace, example: Example) -> None:
    row = example.row
    about = {name: json.loads(written(row[name])) for name in ("latency_ms", "cost_usd") if row.get(name)}
    if "cost_usd" in about:
        about["cost_usd"] = str(about["cost_usd"])
    about |= {name: json.loads(written(row[name])) for name in ("inputs", "tool_calls", "graders") if row.get(name)}
    about |= {name: written(row[name]) for name in ("system", "finish") if row.get(name)}
    if row.get("logprobs"):
        about["logprobs"] = Logprobs(*json.loads(written(row["logprobs"])))
    if row.get("steps"):
        about["steps"] = {name: StepOutput(one, {}) for name, one in json.loads(written(row["steps"])).items()}
    if row.get("reply"):
        about["asker"] = says([written(row["reply"])])
        about["system"] = "Add."
    if row.get("embeddings"):
        about["asker"] = says([json.dumps(vector) for vector in json.loads(written(row["embeddings"]))])
    text = row.get("expected") and written(row["expected"]).replace("\n", "\\n")
    about["expected"] = json.loads(text) if text else ABSENT

    verdict = ask(build_grader(example.entry, **workspace), make_context(written(row["output"]), **about))

    outcome, _, reason = row["verdict"].partition(": ")
    assert verdict.outcome == outcome, verdict.reason
    assert not reason or verdict.reason == reason


def test_every_grader_has_a_section_with_an_example() -> None:
    assert sections().keys() == BUILT_IN.keys()
    for kind, section in sections().items():
        shown = [example for example in examples(section) if kind in json.dumps(example.entry)]
        assert len({example.row["verdict"].partition(":")[0] for example in shown}) >= 2, kind


def test_the_index_has_every_grader_once_in_the_order_of_the_sections() -> None:
    index = REFERENCE.partition("\n## All graders\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| \[`(\w+)`\]\(#(\w+)\) \|", index, flags=re.MULTILINE)

    assert rows == [(kind, kind) for kind in sections()]


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_parameter_is_described_with_its_default(kind: str) -> None:
    table = sections()[kind].partition("| parameter | default | meaning |\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", table, flags=re.MULTILINE)

    found = built_in_kind(kind)
    assert found is not None
    fields = found.parameters.model_fields.values()
    assert dict(rows) == {key: _default(field) for key, field in zip(keys_of(found.parameters), fields, strict=True)}


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or default is ABSENT:
        return "–"
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`"
