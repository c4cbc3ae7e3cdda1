"""`gate:` of a suite: every key, and every way to get one wrong."""

from pathlib import Path

import jsonschema_rs
import pytest

from evalh.api.schemas import suite_schema
from evalh.core.attempt import ErrorKind
from evalh.core.errors import WorkspaceError
from evalh.core.route import BreakerPolicy, BudgetPolicy, LimitPolicy, RetryPolicy
from evalh.core.suite import About, BaselinePolicy, GatePolicy, GraderRule, MustPass, Never, Require
from evalh.workspace.config import Config
from evalh.workspace.files import WorkTree
from evalh.workspace.routes import BreakerTable, BudgetTable, LimitTable, RetryTable
from evalh.workspace.suites import BaselineTable, GateTable, load_suite
from evalh.workspace.yaml import parse_yaml

SUITE = "prompt: p\ndataset: d\ngraders:\n  - schema\n  - contains: {value: x, name: pii}\ngate:\n"
FULL = """  require: no_worse
  margin: 0.03
  target: dataset
  sequential: false
  discordance: 0.2
  trials: 2
  must_pass: {tags: [incident], cases: [t-1], trials: 5, passes: 4}
  good_rate: {at_least: 0.9}
  never: {pii: 0.02}
  cost_per_good: {may_rise: 0.1}
  latency_p95: {may_rise: 0.25}
  net_loss: {may_rise: 0.2}
  graders: {schema: {margin: 0.01}, pii: {}}
  max_ungraded: 0.05
  canary: 40
"""


def policy(folder: Path, gate: str) -> GatePolicy:
    (folder / "evals").mkdir(exist_ok=True)
    (folder / "evals/s.yaml").write_text(f"{SUITE}{gate}value: {{bad_usd: 1}}\n")
    return load_suite(WorkTree(folder), Config(), "s").gate


def test_tables_that_state_nothing_are_the_defaults() -> None:
    """A file without a table is read without the table's model."""
    assert GateTable().policy() == GatePolicy()
    assert BaselineTable().policy() == BaselinePolicy()
    assert BreakerPolicy(**dict(BreakerTable())) == BreakerPolicy()
    assert RetryPolicy(**{**dict(RetryTable()), "on": frozenset(map(ErrorKind, RetryTable().on))}) == RetryPolicy()
    assert LimitPolicy(**dict(LimitTable())) == LimitPolicy()
    assert BudgetPolicy(**dict(BudgetTable())) == BudgetPolicy()


def test_every_key_is_read_and_fits_the_published_schema(tmp_path: Path) -> None:
    read = policy(tmp_path, FULL)

    assert read == GatePolicy(
        require=Require.NO_WORSE,
        margin=0.03,
        target=About.DATASET,
        sequential=False,
        discordance=0.2,
        trials=2,
        must_pass=MustPass(tags=frozenset({"incident"}), cases=frozenset({"t-1"}), trials=5, passes=4),
        good_rate=0.9,
        never=(Never("pii", 0.02),),
        cost_may_rise=0.1,
        latency_may_rise=0.25,
        net_loss_may_rise=0.2,
        graders=(GraderRule("schema", 0.01), GraderRule("pii", 0.03)),
        max_ungraded=0.05,
        canary=40,
    )
    schema = jsonschema_rs.validator_for(suite_schema())
    assert schema.is_valid(parse_yaml(SUITE + FULL, "s").value)
    assert not schema.is_valid(parse_yaml(SUITE + "  margins: 0.1\n", "s").value)


def test_all_trials_must_pass_where_nothing_else_is_said(tmp_path: Path) -> None:
    rule = policy(tmp_path, "  must_pass: {tags: [incident], trials: 5}\n  never: [pii]\n")

    assert rule.must_pass == MustPass(tags=frozenset({"incident"}), trials=5, passes=5)
    assert rule.never == (Never("pii"),)
    assert not rule.waits


@pytest.mark.parametrize(
    ("gate", "what", "line"),
    [
        ("  margins: 0.1\n", "unknown key 'margins'", 7),
        ("  margin: 0\n", "'margin' must be a number from 0.001 to 0.5", 7),
        ("  margin: 5\n", "'margin' must be a number from 0.001 to 0.5", 7),
        ("  require: better\n", "'require' must be not_worse_shown or no_worse, not 'better'", 7),
        ("  target: [dataset]\n", "'target' must be population or dataset, not a list", 7),
        ("  sequential: often\n", "'sequential' must be true or false, not text", 7),
        ("  must_pass: {trials: 5}\n", "names no case", 7),
        ("  must_pass:\n    tags: [a]\n    trials: 3\n    passes: 4\n", "4 of 3 trials cannot pass", 10),
        ("  must_pass:\n    tag: [a]\n", "unknown key 'tag'", 8),
        ("  good_rate: 0.9\n", "'good_rate' must be a mapping, not a number", 7),
        ("  good_rate: {}\n", "'at_least' is missing", 7),
        ("  good_rate: {at_least: 90}\n", "'at_least' must be a number from 0 to 1", 7),
        ("  cost_per_good: {may_rise: -1}\n", "'may_rise' must be a number of at least 0", 7),
        ("  canary: true\n", "'canary' must be a whole number from 0 to 10,000", 7),
        ("  canary: -1\n", "'canary' must be a whole number from 0 to 10,000", 7),
        ("  canary: 20000\n", "'canary' must be a whole number from 0 to 10,000", 7),
        ("  never: pii\n", "'never' must be a list of texts", 7),
        ("  never:\n    - schema\n    - pji\n", "the suite has no grader 'pji'", 9),
        ("  never: {pji: 0.1}\n", "the suite has no grader 'pji'", 7),
        ("  graders: {pii: 0.1}\n", "'pii' must be a mapping", 7),
        ("  graders: {pii: {margn: 0.1}}\n", "unknown key 'margn'", 7),
    ],
)
def test_a_wrong_policy_is_refused_with_its_line(tmp_path: Path, gate: str, what: str, line: int) -> None:
    with pytest.raises(WorkspaceError) as caught:
        policy(tmp_path, gate)

    assert what in caught.value.what
    assert caught.value.where == f"evals/s.yaml:{line}"


@pytest.mark.parametrize(
    ("gate", "hint"),
    [
        ("  good_rate: 0.9\n", "good_rate: {at_least: 0.9}"),
        ("  cost_per_good: 0.1\n", "cost_per_good: {may_rise: 0.1}"),
        ("  latency_p95: 10%\n", "latency_p95: {may_rise: 0.1}"),
        ("  must_pass: [incident]\n", "its keys: tags, cases, trials, passes"),
        ("  graders: {pii: 0.1}\n", "its keys: margin"),
    ],
)
def test_what_must_be_a_mapping_is_told_with_its_keys(tmp_path: Path, gate: str, hint: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        policy(tmp_path, gate)

    assert "must be a mapping, not " in caught.value.what
    assert caught.value.hint == hint
