"""`[routes.<name>]`: every key is read, and what is wrong is refused at its line with what to write instead."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from evalh.api.targets import build_checks
from evalh.core.attempt import ErrorKind
from evalh.core.declared import keys_of
from evalh.core.digest import digest
from evalh.core.errors import ExitCode, WorkspaceError
from evalh.core.route import (
    FALLBACK_ON,
    RETRYABLE,
    BreakerPolicy,
    BudgetPolicy,
    CascadePolicy,
    EscalateBy,
    LimitPolicy,
    RepairBy,
    RepairPolicy,
    RetryPolicy,
    Route,
)
from evalh.core.suite import GraderSpec
from evalh.providers.registry import options_of
from evalh.workspace.config import load_config
from evalh.workspace.files import WorkTree
from evalh.workspace.routes import BreakerTable, BudgetTable, CascadeTable, LimitTable, RepairTable, RetryTable
from grading import environment as grading_environment

FULL = """[routes.careful]
model = "small"
retry = {attempts = 3, on = ["timeout", "bad_response"], base_s = 0.25, cap_s = 8, max_wait_s = 60, share = 0.1}
breaker = {rate = 0.25, min = 10, window_s = 15, cooldown_s = 2.5}
limit = {concurrency = 4, rpm = 60, tpm = 90000}
fallback = ["third", "other"]
fallback_on = ["quota", "refusal"]
budget = {usd_per_run = 2.10, usd_per_day = 20, usd_per_case = 0.01, tokens_per_run = 100000, deadline_s = 90}

[routes.careful.repair]
checks = ["schema"]
by = "vary"
attempts = 2

[routes.careful.cascade]
checks = ["json", {contains = "because"}, {length = {max_chars = 500}}]
escalate_to = "strong"
by = "verify"
"""


def read(tmp_path: Path, body: str) -> Route:
    (tmp_path / "evalh.toml").write_text(body, encoding="utf-8")
    (route,) = load_config(WorkTree(tmp_path), options_of).routes.values()
    return replace(route, repair=_without_places(route.repair), cascade=_without_places(route.cascade))


def _without_places(policy: Any) -> Any:
    """Leave out what finds the lines of parameters: no two of these are equal."""
    return policy and replace(policy, checks=tuple(replace(one, places=None) for one in policy.checks))


def route(tmp_path: Path, line: str) -> Route:
    return read(tmp_path, f'[routes.careful]\nmodel = "small"\n{line}\n')


def refused(tmp_path: Path, line: str) -> WorkspaceError:
    with pytest.raises(WorkspaceError) as caught:
        route(tmp_path, line)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


def check(kind: str, line: int, **params: object) -> GraderSpec:
    return GraderSpec(kind=kind, name=kind, params=params, where=f"evalh.toml:{line}")


def test_every_key_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, FULL) == Route(
        name="careful",
        model="small",
        retry=RetryPolicy(
            attempts=3,
            on=frozenset({ErrorKind.TIMEOUT, ErrorKind.BAD_RESPONSE}),
            base_s=0.25,
            cap_s=8.0,
            max_wait_s=60.0,
            share=0.1,
        ),
        breaker=BreakerPolicy(rate=0.25, min=10, window_s=15.0, cooldown_s=2.5),
        limit=LimitPolicy(concurrency=4, rpm=60, tpm=90000),
        repair=RepairPolicy(checks=(check("schema", 11),), by=RepairBy.VARY, attempts=2),
        fallback=("third", "other"),
        fallback_on=frozenset({ErrorKind.QUOTA, ErrorKind.REFUSAL}),
        cascade=CascadePolicy(
            checks=(check("json", 16), check("contains", 16, value="because"), check("length", 16, max_chars=500)),
            escalate_to="strong",
            by=EscalateBy.VERIFY,
        ),
        budget=BudgetPolicy(
            usd_per_run=Decimal("2.10"),
            usd_per_day=Decimal(20),
            usd_per_case=Decimal("0.01"),
            tokens_per_run=100000,
            deadline_s=90.0,
        ),
        where="evalh.toml:1",
    )


def test_the_example_holds_every_key_there_is() -> None:
    for table in (RetryTable, BreakerTable, LimitTable, RepairTable, CascadeTable, BudgetTable):
        assert [key for key in keys_of(table) if f"{key} = " not in FULL] == []


def test_a_route_needs_a_model_and_nothing_else(tmp_path: Path) -> None:
    assert route(tmp_path, "") == Route(name="careful", model="small", where="evalh.toml:1")
    with pytest.raises(WorkspaceError) as caught:
        read(tmp_path, "[routes.careful]\nfallback = ['strong']\n")
    error = caught.value
    assert (error.what, error.where, error.hint) == ("'model' is missing", "evalh.toml:1", 'model = "small"')


@pytest.mark.parametrize("line", ["retry = {}", "breaker = {}", "limit = {}", "budget = {}", "fallback = []"])
def test_an_empty_part_is_the_default(tmp_path: Path, line: str) -> None:
    assert route(tmp_path, line) == route(tmp_path, "")


def test_a_part_that_states_one_key_keeps_the_other_defaults(tmp_path: Path) -> None:
    assert route(tmp_path, "retry = {attempts = 1}").retry == RetryPolicy(attempts=1)
    assert route(tmp_path, "breaker = {min = 7}").breaker == BreakerPolicy(min=7)
    cascade = route(tmp_path, 'cascade = {checks = ["json"], escalate_to = "strong"}').cascade
    assert cascade == CascadePolicy(checks=(check("json", 3),), escalate_to="strong")
    repair = route(tmp_path, 'repair = {checks = ["json"]}').repair
    assert repair == RepairPolicy(checks=(check("json", 3),))


@pytest.mark.parametrize(
    ("line", "wait_s"),
    [
        ("", 600.0),
        ("limit = {max_wait_s = 5}", 5.0),
        ("limit = {max_wait_s = 0}", 0.0),
        ("retry = {max_wait_s = 60}", 60.0),
        ("retry = {max_wait_s = 60}\nlimit = {max_wait_s = 7200}", 7200.0),
    ],
)
def test_rate_limits_are_waited_for_ten_minutes_unless_the_route_says_otherwise(
    tmp_path: Path, line: str, wait_s: float
) -> None:
    assert route(tmp_path, line).wait_s == wait_s


@pytest.mark.parametrize("value", ["-1", '"long"', "true", "nan", "inf"])
def test_a_wait_that_cannot_be_is_refused(tmp_path: Path, value: str) -> None:
    error = refused(tmp_path, f"limit = {{max_wait_s = {value}}}")

    assert "max_wait_s" in error.what or "NaN" in error.what
    assert (error.where or "").startswith("evalh.toml:")


def test_a_breaker_can_be_switched_off_and_not_on(tmp_path: Path) -> None:
    assert route(tmp_path, "breaker = false").breaker is None
    assert refused(tmp_path, "breaker = true").what == "'breaker' must be a mapping or false, not true or false"


def test_no_retry_and_no_fallback_can_be_stated(tmp_path: Path) -> None:
    assert route(tmp_path, "retry = {on = []}").retry.on == frozenset()
    assert route(tmp_path, "fallback_on = []").fallback_on == frozenset()


@pytest.mark.parametrize("kind", sorted(RETRYABLE))
def test_every_kind_that_may_pass_can_be_retried(tmp_path: Path, kind: ErrorKind) -> None:
    assert route(tmp_path, f'retry = {{on = ["{kind.value}"]}}').retry.on == {kind}


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - RETRYABLE))
def test_a_kind_that_would_be_met_again_is_refused_under_retry_with_the_reason(tmp_path: Path, kind: ErrorKind) -> None:
    error = refused(tmp_path, f'retry = {{on = ["timeout", "{kind.value}"]}}')

    assert error.what == f"{kind.value!r} cannot be retried: its cause is in the request or the account"
    assert error.where == "evalh.toml:3"
    assert error.hint == "may be declared: bad_response, network, overload, rate_limit, timeout"


FALLBACKS = FALLBACK_ON | {ErrorKind.CONTEXT_LENGTH, ErrorKind.REFUSAL, ErrorKind.CONTENT_FILTER}


@pytest.mark.parametrize("kind", sorted(FALLBACKS))
def test_every_kind_that_another_model_may_not_meet_can_fall_back(tmp_path: Path, kind: ErrorKind) -> None:
    assert route(tmp_path, f'fallback_on = ["{kind.value}"]').fallback_on == {kind}


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - FALLBACKS))
def test_a_kind_that_every_model_would_meet_is_refused_under_fallback(tmp_path: Path, kind: ErrorKind) -> None:
    error = refused(tmp_path, f'fallback_on = ["{kind.value}"]')

    assert (error.what, error.where) == (f"a fallback cannot help with {kind.value!r}", "evalh.toml:3")
    assert str(error.hint).startswith("may be declared: auth, ")


@pytest.mark.parametrize(
    ("line", "what", "hint"),
    [
        ("modell = 'x'", "unknown key 'modell'", "did you mean 'model'?"),
        ("retries = {attempts = 2}", "unknown key 'retries'", "did you mean 'retry'?"),
        ("retry = {attempt = 2}", "unknown key 'attempt'", "did you mean 'attempts'?"),
        ("breaker = {cooldown = 2}", "unknown key 'cooldown'", "did you mean 'cooldown_s'?"),
        ("limit = {rps = 2}", "unknown key 'rps'", "did you mean 'rpm'?"),
        ("repair = {check = ['json']}", "unknown key 'check'", "did you mean 'checks'?"),
        ("cascade = {checks = ['json'], escalate = 'x'}", "unknown key 'escalate'", "did you mean 'escalate_to'?"),
        (
            "budget = {usd = 2}",
            "unknown key 'usd'",
            "have: deadline_s, tokens_per_run, usd_per_case, usd_per_day, usd_per_run",
        ),
        (
            "retry = 3",
            "'retry' must be a mapping, not a number",
            "its keys: attempts, on, base_s, cap_s, max_wait_s, share",
        ),
        ("repair = 'json'", "'repair' must be a mapping, not text", "its keys: checks, by, attempts"),
        ("cascade = ['json']", "'cascade' must be a mapping, not a list", "its keys: checks, escalate_to, by"),
        (
            "budget = 2.0",
            "'budget' must be a mapping, not a number",
            "its keys: usd_per_run, usd_per_day, usd_per_case, tokens_per_run, deadline_s",
        ),
        ("fallback = 'strong'", "'fallback' must be a list of texts, not text", None),
        ("fallback = ['strong', 3]", "'fallback' must hold text, not a number", None),
        ("fallback = ['']", "'fallback' must hold text that is not empty", None),
        ("fallback_on = 'quota'", "'fallback_on' must be a list of texts, not text", None),
        ("fallback_on = ['qouta']", "no kind of error 'qouta'", "did you mean 'quota'?"),
        ("retry = {on = 'timeout'}", "'on' must be a list of texts, not text", None),
        ("retry = {on = ['timeouts']}", "no kind of error 'timeouts'", "did you mean 'timeout'?"),
        ("retry = {attempts = 0}", "'attempts' must be a whole number from 1 to 1,000,000", None),
        ("retry = {attempts = 2.5}", "'attempts' must be a whole number from 1 to 1,000,000", None),
        ("retry = {attempts = true}", "'attempts' must be a whole number from 1 to 1,000,000, not true or false", None),
        ("retry = {base_s = -1}", "'base_s' must be a number of at least 0", None),
        ("retry = {cap_s = '3'}", "'cap_s' must be a number of at least 0, not text", None),
        ("retry = {max_wait_s = -0.5}", "'max_wait_s' must be a number of at least 0", None),
        ("retry = {share = 'half'}", "'share' must be a number of at least 0, not text", None),
        ("breaker = {rate = 1.5}", "'rate' must be a number above 0 and up to 1", "rate = 0.5"),
        ("breaker = {rate = 0}", "'rate' must be a number above 0 and up to 1", "rate = 0.5"),
        ("breaker = {min = 0}", "'min' must be a whole number from 1 to 1,000,000", None),
        ("breaker = {window_s = 'x'}", "'window_s' must be a number of at least 0, not text", None),
        ("breaker = {cooldown_s = -1}", "'cooldown_s' must be a number of at least 0", None),
        ("limit = {concurrency = 0}", "'concurrency' must be a whole number from 1 to 1,000,000", None),
        ("limit = {rpm = 0.5}", "'rpm' must be a whole number from 1 to 1,000,000", None),
        ("limit = {tpm = -3}", "'tpm' must be a whole number from 1 to 1,000,000", None),
        ("budget = {usd_per_run = -1}", "'usd_per_run' must be a number of at least 0", None),
        ("budget = {usd_per_case = '1'}", "'usd_per_case' must be a number of at least 0, not text", None),
        ("budget = {tokens_per_run = 0}", "'tokens_per_run' must be a whole number from 1 to 1,000,000", None),
        ("budget = {deadline_s = -1}", "'deadline_s' must be a number of at least 0", None),
        ("repair = {}", "'checks' is missing", 'checks = ["schema"]'),
        ("repair = {checks = []}", "'checks' must be a list of graders", 'checks = ["schema"]'),
        ("repair = {checks = 'json'}", "'checks' must be a list of graders, not text", 'checks = ["schema"]'),
        (
            "repair = {checks = [3]}",
            "a grader is a name or one `name: parameters`, not a number",
            'checks = ["schema", {contains = "because"}]',
        ),
        (
            "repair = {checks = ['']}",
            "a grader is a name or one `name: parameters`, not text that is empty",
            'checks = ["schema", {contains = "because"}]',
        ),
        (
            "repair = {checks = [{json = {}, schema = {}}]}",
            "one grader per entry; this one has the keys 'json', 'schema'",
            "write parameters inside it: json: {…}",
        ),
        (
            "repair = {checks = ['json'], by = 'magic'}",
            "'by' must be feedback or vary, not 'magic'",
            "have: feedback, vary",
        ),
        ("repair = {checks = ['json'], attempts = 0}", "'attempts' must be a whole number from 1 to 1,000,000", None),
        ("cascade = {checks = ['json']}", "'escalate_to' is missing", 'escalate_to = "strong"'),
        ("cascade = {escalate_to = 'x'}", "'checks' is missing", 'checks = ["schema"]'),
        (
            "cascade = {checks = ['json'], escalate_to = 'x', by = 'ask'}",
            "'by' must be again or verify, not 'ask'",
            "have: again, verify",
        ),
        (
            "cascade = {checks = ['json'], escalate_to = 3}",
            "'escalate_to' must be text, not a number",
            'escalate_to = "strong"',
        ),
    ],
)
def test_what_is_wrong_is_refused_at_its_line(tmp_path: Path, line: str, what: str, hint: str | None) -> None:
    error = refused(tmp_path, line)

    assert (error.what, error.where, error.hint) == (what, "evalh.toml:3", hint)


def test_what_is_wrong_in_a_table_of_its_own_is_refused_at_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError) as caught:
        read(tmp_path, FULL.replace("attempts = 2\n", "attempts = 'two'\n"))

    assert caught.value.where == "evalh.toml:13"


def test_exact_numbers_in_a_checks_parameters_are_json(tmp_path: Path) -> None:
    """A route is digested before it runs, and its checks are compiled like a suite's."""
    one = route(
        tmp_path, "repair = {checks = [{length = {max_words = 5}}, {latency = 812.5}, {cost = {max_usd = 0.1}}]}"
    )
    assert one.repair is not None

    assert [spec.params for spec in one.repair.checks] == [{"max_words": 5}, {"value": 812.5}, {"max_usd": 0.1}]
    assert digest(one.document()).startswith("sha256:")
    assert [grader.name for grader in build_checks(one.repair.checks, grading_environment())] == [
        "length",
        "latency",
        "cost",
    ]


@pytest.mark.parametrize(
    "check",
    ['"equals"', '{equals = {expected = "label"}}', '{any_of = ["json", "equals"]}', '{not = "equals"}'],
)
def test_a_check_that_needs_gold_is_refused_at_its_line(tmp_path: Path, check: str) -> None:
    one = route(tmp_path, f"repair = {{checks = [{check}]}}")
    assert one.repair is not None

    with pytest.raises(WorkspaceError) as caught:
        build_checks(one.repair.checks, grading_environment())

    assert "needs gold, and a check must work without gold" in caught.value.what
    assert caught.value.where == "evalh.toml:3"
    assert "checks without gold" in str(caught.value.hint)


def test_a_check_that_does_not_exist_is_refused_at_its_line(tmp_path: Path) -> None:
    one = route(tmp_path, 'repair = {checks = ["shcema"]}')
    assert one.repair is not None

    with pytest.raises(WorkspaceError) as caught:
        build_checks(one.repair.checks, grading_environment())

    assert (caught.value.where, caught.value.hint) == ("evalh.toml:3", "did you mean 'schema'?")


def test_a_repair_that_would_never_be_made_is_refused_at_its_route(tmp_path: Path) -> None:
    (tmp_path / "evalh.toml").write_text(
        '[models.small]\nprovider = "openai"\nmodel = "s"\n'
        '[routes.inner]\nmodel = "small"\n'
        '[routes.outer]\nmodel = "inner"\nrepair = {checks = ["schema"]}\n'
    )

    with pytest.raises(WorkspaceError) as refused:
        load_config(WorkTree(tmp_path), options_of)
    assert refused.value.where == "evalh.toml:6"
    assert "[routes.inner]" in (refused.value.hint or "")
