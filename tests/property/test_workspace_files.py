"""Whatever a workspace's files contain, a reader returns a value or says what is wrong."""

import json
import math
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from evalh.core.digest import canonical
from evalh.core.errors import EvalhError, ExitCode, WorkspaceError
from evalh.core.strict_json import JsonValue
from evalh.providers.registry import options_of
from evalh.workspace.config import Config, load_config
from evalh.workspace.files import read_text
from evalh.workspace.suites import load_suite
from evalh.workspace.toml import parse_toml
from evalh.workspace.yaml import parse_yaml


class Files:
    """A revision that holds files in memory."""

    revision = "HEAD"

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def read(self, path: str) -> bytes:
        return self.files[path]

    def exists(self, path: str) -> bool:
        return path in self.files

    def names(self, folder: str) -> list[str]:
        return sorted(path.removeprefix(f"{folder}/") for path in self.files if path.startswith(f"{folder}/"))


CONFIG = b"""[workspace]
default_suite = "triage" # a comment
[prompts.triage]
live = "v3"
[models.small]
provider = "local"
price = {input = 0.25, output = 2}
params = {temperature = "null", stop = ["a", 'b']}
[routes.careful]
model = "small"
budget = {usd_per_run = 2.0}
"""
SUITE = b"""prompt: triage
dataset: triage
trials: 3
graders:
  - schema
  - equals: &e {path: label, required: false}
  - contains: [1, 0x1F, 1e3, ~, "\\u00e4"]
  - equals: *e
gate: {margin: 0.05, must_pass: {tags: [incident], trials: 5, passes: 5}}
"""
YAML_MARKS = st.text(alphabet="ab:-[]{}&*!|>'\"#%@`,?\n \t0.e~<=\\é\ufeff", max_size=60)
TOML_MARKS = st.text(alphabet="ab=[]{}'\"#,.\n 01_-:Te\\é", max_size=60)
# What YAML can carry unescaped: the printable characters.
WORDS = st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=12)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """A good file with a few bytes taken out and others put in."""
    data = good
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(len(data), start + 12)))
        data = (
            data[:start]
            + draw(st.binary(max_size=8) | st.sampled_from([b"", b"\n", b"[", b'"', b"null", b": "]))
            + data[stop:]
        )
    return data


def assert_refusal_is_clear(error: EvalhError) -> None:
    assert error.exit_code is ExitCode.USAGE
    assert error.what
    assert error.where


@given(st.binary(max_size=200))
def test_any_bytes_are_text_or_a_workspace_error(data: bytes) -> None:
    try:
        text = read_text(Files({"f": data}), "f")
    except WorkspaceError as exc:
        assert_refusal_is_clear(exc)
    else:
        assert "\r" not in text
        assert text == data.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


@given(st.text(max_size=60) | YAML_MARKS | st.text(alphabet=st.characters(categories=["Cs", "L"]), max_size=5))
def test_any_text_is_yaml_that_json_can_carry_or_a_workspace_error(text: str) -> None:
    try:
        located = parse_yaml(text, "f.yaml")
    except WorkspaceError as exc:
        assert_refusal_is_clear(exc)
    else:
        canonical(located.value)
        assert located.where("no", 7, "such path").startswith("f.yaml:")


@given(JSON)
def test_json_is_read_as_yaml_unchanged(value: JsonValue) -> None:
    for indent in (None, 1):
        read = parse_yaml(json.dumps(value, ensure_ascii=False, indent=indent), "f.yaml").value
        assert json.dumps(read) == json.dumps(value)


@given(
    st.dictionaries(WORDS.filter(str.strip), st.lists(st.integers(), min_size=1, max_size=3), min_size=1, max_size=5)
)
def test_yaml_knows_the_line_of_every_key_and_item(value: dict[str, list[int]]) -> None:
    lines = []
    expected = {}
    for key, items in value.items():
        lines.append(f"{json.dumps(key, ensure_ascii=False)}:")
        expected[(key,)] = len(lines)
        for number, item in enumerate(items):
            lines.append(f"- {item}")
            expected[(key, number)] = len(lines)

    located = parse_yaml("\n".join(lines), "f", first_line=5)

    assert located.value == value
    assert {path: located.where(*path) for path in expected} == {
        path: f"f:{line + 4}" for path, line in expected.items()
    }


@given(st.text(max_size=60) | TOML_MARKS)
def test_any_text_is_toml_or_a_workspace_error(text: str) -> None:
    try:
        located = parse_toml(text.replace("\r", ""), "f.toml")
    except WorkspaceError as exc:
        assert_refusal_is_clear(exc)
    else:
        for key in located.value:
            assert located.where(key).startswith("f.toml:")


@given(
    st.lists(st.sampled_from(["a", "b-1", "'c.d'", '"[e]"', '"f\\"#"', "g . h"]), unique=True, min_size=1),
    st.lists(
        st.sampled_from(
            [
                "",
                "# [not]",
                'x = """\n[a]\n\\""" # """',
                "y = [\n  1, # ]\n  [2],\n]",
                "z = '''\nk = 1\n'''",
                "w = {v = '}'}",
            ]
        ),
        min_size=6,
        max_size=6,
    ),
)
def test_toml_knows_the_line_of_every_table(headers: list[str], bodies: list[str]) -> None:
    lines: list[str] = []
    expected = {}
    for header, body in zip(headers, bodies, strict=False):
        lines.append(f" [ {header} ] # [{header}]")
        expected[
            {"'c.d'": ("c.d",), '"[e]"': ("[e]",), '"f\\"#"': ('f"#',), "g . h": ("g", "h")}.get(header, (header,))
        ] = len(lines)
        lines.extend(body.split("\n"))

    located = parse_toml("\n".join(lines), "f")

    assert {path: located.where(*path) for path in expected} == {path: f"f:{line}" for path, line in expected.items()}


@given(st.binary(max_size=80) | damaged(CONFIG))
def test_any_evalh_toml_is_a_config_or_a_workspace_error(data: bytes) -> None:
    try:
        config = load_config(Files({"evalh.toml": data}), options_of)
    except WorkspaceError as exc:
        assert_refusal_is_clear(exc)
    else:
        for model in config.models.values():
            assert math.isfinite(model.timeout_s)
            canonical([dict(model.params), dict(model.options)])
        canonical([route.document() for route in config.routes.values()])


@given(st.binary(max_size=80) | damaged(SUITE))
def test_any_suite_is_a_suite_or_a_workspace_error(data: bytes) -> None:
    try:
        suite = load_suite(Files({"evals/s.yaml": data}), Config(), "s")
    except WorkspaceError as exc:
        assert_refusal_is_clear(exc)
    else:
        assert any(grader.required for grader in suite.graders)
        assert len({grader.name for grader in suite.graders}) == len(suite.graders)
        canonical([grader.document() for grader in suite.graders])


def test_the_files_that_are_damaged_above_are_good() -> None:
    tree = Files({"evalh.toml": CONFIG, "evals/s.yaml": SUITE})

    assert load_suite(tree, load_config(tree, options_of), "s").trials == 3
    assert load_config(tree, options_of).models["small"].where == "HEAD:evalh.toml:5"
