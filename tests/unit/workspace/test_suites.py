"""Suites: evals/<name>.yaml."""

from pathlib import Path

import jsonschema_rs
import pytest

from evalh.api.schemas import suite_schema
from evalh.core.errors import ExitCode, NotFound, WorkspaceError
from evalh.core.suite import GatePolicy, MustPass, OutcomePrices, OutputValue, Suite
from evalh.workspace.config import Config
from evalh.workspace.files import WorkTree
from evalh.workspace.suites import load_suite, suite_names
from evalh.workspace.yaml import parse_yaml

ROOT = Path(__file__).parents[3]

FULL = """description: Which team gets a ticket.
prompt: triage
dataset: triage
model: small
owner: support-team
trials: 3
max_ungraded: 0.1
graders:
  - schema
  - equals: {path: label, expected: label}
  - equals:
      path: order.id
      required: false
  - contains: foo
  - contains: [a, b]
  - judge: {rubric: rubrics/tone.md, required: false, name: tone}
  - not: {equals: {value: yes, required: 3, name: 4}}
value: {bad_usd: 0.50}
compare:
  - prefer: {rubric: rubrics/tone.md}
gate:
  margin: 0.05
  must_pass: {tags: [incident], trials: 5}
"""
LEAST = "prompt: triage\ndataset: triage\n"


def load(tmp_path: Path, text: str) -> Suite:
    (tmp_path / "evals").mkdir(exist_ok=True)
    (tmp_path / "evals/s.yaml").write_text(text, encoding="utf-8")
    return load_suite(WorkTree(tmp_path), Config(), "s")


def refused(tmp_path: Path, text: str) -> WorkspaceError:
    with pytest.raises(WorkspaceError) as caught:
        load(tmp_path, text)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


def names(tmp_path: Path, *entries: str) -> list[str]:
    suite = load(tmp_path, LEAST + "graders:\n" + "".join(f"  - {entry}\n" for entry in entries))
    return [grader.name for grader in suite.graders]


def test_every_documented_key_is_read(tmp_path: Path) -> None:
    suite = load(tmp_path, FULL)

    assert (suite.name, suite.prompt, suite.dataset, suite.model) == ("s", "triage", "triage", "small")
    assert (suite.owner, suite.trials, suite.max_ungraded) == ("support-team", 3, 0.1)
    assert suite.gate == GatePolicy(margin=0.05, must_pass=MustPass(tags=frozenset({"incident"}), trials=5, passes=5))
    assert suite.where_of("gate") == "evals/s.yaml:21"
    assert suite.value == OutputValue(prices=OutcomePrices(bad_usd=0.5), review=frozenset({"equals(order.id)", "tone"}))
    assert [(one.kind, one.params) for one in suite.compare] == [("prefer", {"rubric": "rubrics/tone.md"})]
    assert suite.where == "evals/s.yaml:1"


def test_graders_are_read_with_their_parameters_and_lines(tmp_path: Path) -> None:
    schema, label, order, one, many, judge, negated = load(tmp_path, FULL).graders

    assert (schema.kind, schema.params, schema.required, schema.where) == ("schema", {}, True, "evals/s.yaml:9")
    assert (label.params, label.name, label.where) == (
        {"path": "label", "expected": "label"},
        "equals(label)",
        "evals/s.yaml:10",
    )
    assert (order.params, order.required, order.where) == ({"path": "order.id"}, False, "evals/s.yaml:11")
    assert (one.params, many.params) == ({"value": "foo"}, {"value": ["a", "b"]})
    assert (judge.name, judge.required, judge.params) == ("tone", False, {"rubric": "rubrics/tone.md"})
    assert negated.params == {"equals": {"value": "yes", "required": 3, "name": 4}}


def test_what_is_not_said_has_defaults(tmp_path: Path) -> None:
    suite = load(tmp_path, LEAST + "graders: [schema]\n")

    assert (suite.model, suite.owner, suite.trials, suite.max_ungraded) == (None, None, 1, 0.02)
    assert (suite.gate, suite.value, suite.compare) == (GatePolicy(), None, ())


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["schema", "json"], ["schema", "json"]),
        (["schema:", "json: {}"], ["schema", "json"]),
        (["equals: {path: a}"], ["equals"]),
        (["equals: {path: a}", "equals: {path: b}"], ["equals(a)", "equals(b)"]),
        (["equals: {path: a}", "equals: {path: a}"], ["equals(#1)", "equals(#2)"]),
        (["equals: {path: a}", "equals: {value: 1}"], ["equals(a)", "equals(#2)"]),
        (["contains: a", "contains: b", "contains: c"], ["contains(#1)", "contains(#2)", "contains(#3)"]),
        (["contains: a", "contains: {value: b, name: polite}"], ["contains", "polite"]),
        (["contains: a", "regex: {value: b, name: contains}"], ["contains(#1)", "contains"]),
        (
            ["contains: a", "contains: b", "json: {name: 'contains(#1)'}"],
            ["contains(#2)", "contains(#3)", "contains(#1)"],
        ),
    ],
)
def test_names_of_graders_are_unique(tmp_path: Path, entries: list[str], expected: list[str]) -> None:
    assert names(tmp_path, *entries) == expected


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("[1]\n", "the file must be a mapping, not a list", 1),
        ("", "the file must be a mapping, not null", 1),
        (LEAST + "grader: [schema]\n", "unknown key 'grader'", 3),
        ("prompt: triage\ngraders: [schema]\n", "'dataset' is missing", 1),
        ("dataset: triage\ngraders: [schema]\n", "'prompt' is missing", 1),
        ("dataset: d\nprompt: triage@v3\ngraders: [schema]\n", "names a prompt, not a version", 2),
        ("dataset: d\nprompt: main:triage\ngraders: [schema]\n", "names a prompt, not a version", 2),
        ("dataset: d\nprompt: v3\ngraders: [schema]\n", "names a prompt, not a version", 2),
        ("dataset: d\nprompt: 'a b'\ngraders: [schema]\n", "is not the name of a prompt", 2),
        (LEAST, "'graders' is missing", 1),
        (LEAST + "graders: []\n", "'graders' must be a list of graders", 3),
        (LEAST + "graders:\n", "'graders' must be a list of graders, not null", 3),
        (LEAST + "graders: schema\n", "'graders' must be a list of graders, not text", 3),
        (LEAST + "graders:\n  - schema: {required: false}\n", "no grader is required", 3),
        (LEAST + "graders:\n  - schema\n  - 3\n", "a grader is a name or one `name: parameters`, not a number", 5),
        (LEAST + "graders:\n  - schema\n  - ''\n", "a grader is a name", 5),
        (LEAST + "graders:\n  - {}\n", "a grader is a name", 4),
        (LEAST + "graders:\n  - equals:\n    path: label\n", "one grader per entry", 4),
        (
            LEAST + "graders:\n  - equals:\n      path: label\n      required: 'no'\n",
            "'required' must be true or false",
            6,
        ),
        (LEAST + "graders:\n  - equals: {name: ''}\n", "'name' must be text that is not empty", 4),
        (LEAST + "graders:\n  - a: {name: x}\n  - b: {name: x}\n", "two graders are called 'x'", 5),
        (LEAST + "graders: [schema]\ntrials: 0\n", "'trials' must be a whole number from 1 to 1,000", 4),
        (LEAST + "graders: [schema]\ntrials: 1.5\n", "'trials' must be a whole number", 4),
        (LEAST + "graders: [schema]\nmax_ungraded: 2\n", "'max_ungraded' must be a number from 0 to 1", 4),
        (LEAST + "graders: [schema]\nmax_ungraded: 2%\n", "'max_ungraded' must be a number from 0 to 1, not text", 4),
        (LEAST + "graders: [schema]\ngate: strict\n", "'gate' must be a mapping, not text", 4),
        (LEAST + "graders: [schema]\nvalue: 0.5\n", "'value' must be a mapping, not a number", 4),
        (LEAST + "graders: [schema]\nvalue:\n  bad_eur: 1\n", "unknown key 'bad_eur'", 5),
        (LEAST + "graders: [schema]\nvalue: {bad_usd: -0.5}\n", "'bad_usd' must be a number of at least 0", 4),
        (LEAST + "graders: [schema]\nvalue: {review_usd: free}\n", "'review_usd' must be a number", 4),
        (LEAST + "graders: [schema]\nvalue:\n  review:\n    - schem\n", "the suite has no grader 'schem'", 6),
        (LEAST + "graders: [schema]\ngate:\n  net_loss: {may_rise: 0}\n", "'net_loss' needs to know", 5),
        (LEAST + "graders: [schema]\nmodel:\n", "'model' must be text, not null", 4),
        (LEAST + "graders: [schema]\ncompare: [{}]\n", "a grader is a name", 4),
        (LEAST + "graders: [schema]\nprompt: b\n", "duplicate key 'prompt', first on line 1", 4),
    ],
)
def test_a_wrong_suite_is_refused_with_its_line(tmp_path: Path, text: str, what: str, line: int) -> None:
    error = refused(tmp_path, text)

    assert what in error.what
    assert error.where == f"evals/s.yaml:{line}"


def test_all_mistakes_of_a_suite_are_told_in_its_order(tmp_path: Path) -> None:
    error = refused(
        tmp_path,
        "promt: triage\ndataset: d\ngraders:\n  - schema\n  - 3\ngate:\n  margin: 5\n  never: {a: 2}\ntrial: 2\n",
    )

    assert str(error).splitlines() == [
        "evals/s.yaml:1: unknown key 'promt'",
        "  did you mean 'prompt'?",
        "evals/s.yaml:5: a grader is a name or one `name: parameters`, not a number",
        "  - schema",
        "evals/s.yaml:7: 'margin' must be a number from 0.001 to 0.5",
        "evals/s.yaml:8: 'a' must be a number from 0 to 1",
        "evals/s.yaml:9: unknown key 'trial'",
        "  did you mean 'trials'?",
    ]


def test_all_graders_that_a_suite_lacks_are_told(tmp_path: Path) -> None:
    error = refused(
        tmp_path, LEAST + "graders: [schema]\nvalue: {review: [schem]}\ngate:\n  never: [jsn]\n  graders: {json: {}}\n"
    )

    assert [(one.what, one.where) for one in (error, *error.others)] == [
        ("the suite has no grader 'schem'", "evals/s.yaml:4"),
        ("the suite has no grader 'jsn'", "evals/s.yaml:6"),
        ("the suite has no grader 'json'", "evals/s.yaml:7"),
    ]


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    assert refused(tmp_path, LEAST + "grader: [schema]\n").hint == "did you mean 'graders'?"


def test_a_slip_of_indentation_says_where_parameters_belong(tmp_path: Path) -> None:
    error = refused(tmp_path, LEAST + "graders:\n  - equals:\n    path: label\n")

    assert error.hint == "write parameters inside it: equals: {…}"


def test_suites_are_the_yaml_files_of_the_folder(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yaml", "graders.py", "c.yml"):
        (tmp_path / "tests").mkdir(exist_ok=True)
        (tmp_path / "tests" / name).touch()

    assert suite_names(WorkTree(tmp_path), Config(evals_dir="tests")) == ("a", "b")
    assert suite_names(WorkTree(tmp_path), Config(evals_dir="missing")) == ()


def test_an_unknown_suite_lists_what_there_is(tmp_path: Path) -> None:
    load(tmp_path, LEAST + "graders: [schema]\n")
    (tmp_path / "evals/other.yml").touch()

    for name, hint in (
        ("x", "have: s"),
        ("../evals/s", "have: s"),
        ("other", "rename evals/other.yml to evals/other.yaml"),
    ):
        with pytest.raises(NotFound, match="no suite") as caught:
            load_suite(WorkTree(tmp_path), Config(), name)

        assert caught.value.hint == hint


def test_the_published_schema_takes_what_is_read() -> None:
    jsonschema_rs.meta.validate(suite_schema())
    validator = jsonschema_rs.validator_for(suite_schema())
    for path in (None, *sorted(ROOT.glob("evals/*.yaml")), *sorted(ROOT.glob("harness/**/evals/*.yaml"))):
        validator.validate(
            parse_yaml(path.read_text() if path else FULL.replace(", required: 3, name: 4", ""), "s").value
        )


@pytest.mark.parametrize(
    "text",
    [
        LEAST,
        LEAST + "graders: []\n",
        LEAST + "graders: [3]\n",
        LEAST + "graders: [{}]\n",
        LEAST + "graders: [{a: 1, b: 2}]\n",
        LEAST + "graders: [{a: {required: 1}}]\n",
        LEAST + "graders: [schema]\ngrader: x\n",
        LEAST + "graders: [schema]\ntrials: 0\n",
        LEAST + "graders: [schema]\nmax_ungraded: 2\n",
        LEAST + "graders: [schema]\ngate: x\n",
    ],
)
def test_the_published_schema_refuses_what_is_refused(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text)

    assert not jsonschema_rs.validator_for(suite_schema()).is_valid(parse_yaml(text, "s").value)


STEPS = LEAST + "graders: [contains: a]\nstep_graders:\n"


def test_graders_of_steps_have_names_that_are_unique_in_their_step(tmp_path: Path) -> None:
    suite = load(
        tmp_path, STEPS + "  extract: [schema, {equals: {path: id}}, {equals: {path: kind}}]\n  reply: [schema]\n"
    )

    assert {step: [one.name for one in found] for step, found in suite.step_graders.items()} == {
        "extract": ["schema", "equals(id)", "equals(kind)"],
        "reply": ["schema"],
    }
    assert suite.step_graders["extract"][1].where == "evals/s.yaml:5"
    assert suite.where_of("step_graders.reply") == "evals/s.yaml:6"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("  extract: []\n", 5, "'extract' must be a list of graders"),
        ("  extract: schema\n", 5, "'extract' must be a list of graders"),
        ("  extract: [{a: 1, b: 2}]\n", 5, "one grader per entry"),
        ("  extract: [{schema: {name: x}}, {json: {name: x}}]\n", 5, "two graders are called 'x'"),
        ("  - extract\n", 4, "'step_graders' must be a mapping"),
    ],
)
def test_bad_graders_of_steps_are_refused_at_their_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    error = refused(tmp_path, STEPS + text)

    assert error.where == f"evals/s.yaml:{line}"
    assert what in error.what
