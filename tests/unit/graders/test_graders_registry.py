"""Which graders there are, and what identifies them."""

from importlib import import_module
from pkgutil import iter_modules

import pytest

from evalh import graders
from evalh.core.errors import WorkspaceError
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.kinds import LOADED
from evalh.graders.registry import (
    BUILT_IN,
    build_all,
    built_in_kind,
    collecting,
    grader,
    graders_digest,
    registered,
)
from grading import environment as grading_environment
from hanging import ends

NAMES = [
    "all_of",
    "any_of",
    "case",
    "cites",
    "contains",
    "contradiction",
    "cost",
    "embedding_similarity",
    "equals",
    "hedging",
    "javascript",
    "json",
    "json_fields",
    "json_subset",
    "judge",
    "language",
    "latency",
    "leaked_prompt",
    "length",
    "logprob",
    "not",
    "number",
    "one_of",
    "pii",
    "python",
    "refusal",
    "regex",
    "repetition",
    "revision_stability",
    "schema",
    "self_consistency",
    "self_critique",
    "similarity",
    "tool_calls",
    "truncation",
    "weighted",
]


def test_these_graders_need_no_plugin() -> None:
    assert sorted(BUILT_IN) == NAMES


def test_every_kind_is_found_in_the_module_that_registers_it() -> None:
    for name in BUILT_IN:
        kind = built_in_kind(name)
        assert kind is not None
        assert kind.parameters.__module__ == f"evalh.graders.{BUILT_IN[name]}"
    for module in iter_modules(graders.__path__):
        import_module(f"evalh.graders.{module.name}")
    assert LOADED.keys() == BUILT_IN.keys()


def test_an_unknown_grader_is_refused_with_the_nearest_known_one(build_grader) -> None:
    with pytest.raises(WorkspaceError, match="no grader 'equal'") as caught:
        build_grader("equal")

    assert (caught.value.hint, caught.value.where) == ("did you mean 'equals'?", "evals/triage.yaml:7")


def test_an_unknown_parameter_is_refused_with_the_nearest_known_one(build_grader) -> None:
    with pytest.raises(WorkspaceError, match="grader 'equals': unknown key 'pth'") as caught:
        build_grader({"equals": {"pth": "label"}})

    assert caught.value.hint == "did you mean 'path'?"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"regex": {}}, "grader 'regex': 'pattern' is missing"),
        ({"regex": {"pattern": 3}}, "'pattern' must be text, not a number"),
        ({"equals": {"trim": "yes"}}, "'trim' must be true or false, not text"),
        ({"contains": {"value": ["a", 3]}}, "'value' must hold text, not a number"),
        ({"number": {"which": "lst"}}, "'which' must be first or last, not 'lst'"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_was_expected(build_grader, entry, message: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        build_grader(entry)

    assert message in caught.value.what


def test_a_grader_carries_what_reports_and_outcomes_need() -> None:
    specs = [
        GraderSpec(kind="json", name="json"),
        GraderSpec(kind="length", name="length(max_words)", params={"max_words": 3}, required=False),
    ]

    graders = build_all(specs, grading_environment())

    assert [(one.name, one.required, one.spec) for one in graders] == [
        ("json", True, specs[0]),
        ("length(max_words)", False, specs[1]),
    ]


def test_a_built_in_grader_that_breaks_is_an_error_verdict(build_grader) -> None:
    verdict = build_grader("json").judge(None)  # no context at all: a bug

    assert (verdict.outcome, verdict.score) == ("error", None)
    assert verdict.reason.startswith("AttributeError: ")


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ({"contains": ["a", "b"]}, {"contains": {"value": ["a", "b"]}}),
        ({"equals": 3}, {"equals": {"value": 3}}),
        ({"number": 3}, {"number": {"value": 3}}),
        ({"one_of": ["a", 1]}, {"one_of": {"values": ["a", 1]}}),
        ({"regex": "^a"}, {"regex": {"pattern": "^a"}}),
        ({"latency": 800}, {"latency": {"max_ms": 800}}),
        ({"cost": 0.1}, {"cost": {"max_usd": 0.1}}),
        ({"not": "json"}, {"not": {"grader": "json"}}),
        ({"not": {"contains": "a"}}, {"not": {"grader": {"contains": {"value": "a"}}}}),
        ({"any_of": ["json", {"contains": "a"}]}, {"any_of": {"graders": ["json", {"contains": {"value": "a"}}]}}),
        ({"all_of": [{"not": "json"}]}, {"all_of": {"graders": [{"not": {"grader": "json"}}]}}),
    ],
)
def test_the_main_parameter_needs_no_name(build_grader, short, full) -> None:
    assert graders_digest([build_grader(short)]) == graders_digest([build_grader(full)])


def test_a_users_only_parameter_needs_no_name(build_grader) -> None:
    with collecting(__file__) as kinds:
        grader("one")(lambda ctx, *, limit=1: Verdict.check(True, ""))
        grader("two")(lambda ctx, *, limit=1, unit="": Verdict.check(True, ""))

    assert build_grader({"one": 3}, kinds=kinds).stated == {"limit": 3}
    with pytest.raises(WorkspaceError, match="grader 'two': unknown key 'value'"):
        build_grader({"two": 3}, kinds=kinds)


# -- identity


def digest_of(build_grader, *entries) -> str:
    return graders_digest([build_grader(entry) for entry in entries])


def test_equal_graders_have_equal_digests_in_any_order(build_grader) -> None:
    one = digest_of(build_grader, "json", {"equals": {"path": "a", "value": 1}})
    other = digest_of(build_grader, {"equals": {"value": 1, "path": "a"}}, "json")

    assert one == other


def test_a_default_is_a_default_as_an_integer_too_but_not_as_a_boolean(build_grader) -> None:
    with collecting(__file__) as kinds:
        grader("loose")(lambda ctx, *, mode=1: Verdict.check(True, ""))

    assert build_grader({"number": {"abs_tol": 0}}).stated == {}
    assert build_grader({"loose": {"mode": 1}}, kinds=kinds).stated == {}
    assert build_grader({"loose": {"mode": True}}, kinds=kinds).stated == {"mode": True}


def test_a_stated_default_and_a_name_change_no_digest(build_grader) -> None:
    named = build_all([GraderSpec(kind="equals", name="equals(again)", where="other.yaml:1")], grading_environment())

    assert digest_of(build_grader, {"equals": {"trim": False, "path": None}}) == digest_of(build_grader, "equals")
    assert graders_digest(named) == digest_of(build_grader, "equals")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("json", "schema"),
        ({"equals": {"value": 1}}, {"equals": {"value": 2}}),
        ({"equals": {"value": None}}, "equals"),
        ({"equals": {"value": True}}, {"equals": {"value": 1}}),
        ({"not": {"grader": "json"}}, {"not": {"grader": "schema"}}),
        ({"any_of": {"graders": ["json"]}}, {"all_of": {"graders": ["json"]}}),
        (
            {"any_of": {"graders": [{"contains": {"value": "a"}}]}},
            {"any_of": {"graders": [{"contains": {"value": "b"}}]}},
        ),
    ],
)
def test_what_judges_differently_has_another_digest(build_grader, one, other) -> None:
    assert digest_of(build_grader, one) != digest_of(build_grader, other)


def test_required_and_semantics_are_in_the_digest(build_grader) -> None:
    def digest(semantics: int) -> str:
        with collecting(__file__) as kinds:

            @grader("mine", semantics=semantics)
            def mine(ctx: GradeContext) -> Verdict:
                return Verdict.check(True, "")

        return graders_digest([build_grader({"not": {"grader": "mine"}}, kinds=kinds)])

    optional = build_all([GraderSpec(kind="json", name="json", required=False)], grading_environment())

    assert digest(1) != digest(2)
    assert digest(2) == digest(2)
    assert graders_digest(optional) != digest_of(build_grader, "json")


def test_pythons_semantics_is_a_parameter(build_grader) -> None:
    def digest(**more: int) -> str:
        entry = {"python": {"function": "f:check", **more}}
        return graders_digest([build_grader(entry, load_function=lambda path: lambda ctx: True)])

    assert digest() == digest(semantics=1) != digest(semantics=2)


# -- who may register what


def test_a_built_in_name_is_taken() -> None:
    with pytest.raises(WorkspaceError, match="'equals' is a built-in grader") as caught:
        grader("equals")(lambda ctx: Verdict.check(True, ""))

    assert caught.value.hint == "choose another name"


def test_two_graders_of_one_file_cannot_share_a_name() -> None:
    with collecting(__file__):
        grader("mine")(lambda ctx: Verdict.check(True, ""))
        with pytest.raises(WorkspaceError, match=r"grader 'mine' exists already, at .*test_graders_registry\.py"):
            grader("mine")(lambda ctx: Verdict.check(False, ""))


def test_a_grader_of_a_script_is_known_to_the_process_and_may_be_redefined(build_grader, make_context, ask) -> None:
    grader("of_a_script")(lambda ctx: Verdict.check(False, "first"))
    grader("of_a_script")(lambda ctx: Verdict.check(True, "second"))

    assert registered.get("of_a_script") is not None
    assert ask(build_grader("of_a_script"), make_context("")).reason == "second"


def test_another_file_cannot_take_a_registered_name() -> None:
    grader("of_this_file")(lambda ctx: Verdict.check(True, ""))
    elsewhere: dict[str, object] = {"grader": grader}

    with pytest.raises(WorkspaceError, match="grader 'of_this_file' exists already") as caught:
        exec(compile("grader('of_this_file')(lambda ctx: None)", "/elsewhere.py", "exec"), elsewhere)

    assert caught.value.where == "/elsewhere.py:1"


def test_what_a_collecting_file_imports_registers_for_the_process() -> None:
    with collecting("/the/plugin.py") as kinds:
        grader("of_an_import")(lambda ctx: Verdict.check(True, ""))

    assert kinds == {}
    assert registered.get("of_an_import") is not None


# -- hostile text

NASTY = [
    "",
    "\x00",
    "\ud800",
    "\u202e\u2066",
    "\r\n\x1b[2J",
    '{"label": "\\ud800\\u0000"}',
    "x" * 1_000_000,
    "1" * 1_000_000,
    "1," * 300_000,
    "-$" * 300_000,
    "```\n" * 250_000,
    "```a\n" * 200_000,
    "[" * 1_000_000,
    '{"a":' * 200_000,
    '"' + "\\u0041" * 150_000 + '"',
    "a@" * 150_000,
    ("a" * 64 + "@x.yy ") * 4_000,
    "+1234567890x" * 25_000,
    "0123 4567 " * 30_000,
    "1.1." * 75_000,
    ":" * 300_000,
    "\ufb03\u200b" * 150_000,
    "\\(" * 150_000,
]
ENTRIES = [
    "json",
    {"json": {"fenced": True}},
    "schema",
    {"equals": {"expected": "label", "ignore_case": True}},
    {"equals": {"path": "label", "value": "x", "fenced": True}},
    {"one_of": {"values": ["x", 1]}},
    {"contains": {"value": "needle", "ignore_case": True}},
    {"regex": {"pattern": "(x+x+)+y"}},
    {"regex": {"pattern": "(x+)$", "value": "x", "which": "last"}},
    {"number": {"value": 3}},
    {"number": {"value": 3, "which": "first", "fractions": True, "decimal_comma": True, "abs_tol": 1}},
    {"length": {"max_words": 5}},
    "hedging",
    {"refusal": {"also": ["(a+)+$"]}},
    "repetition",
    "truncation",
    "leaked_prompt",
    {"pii": {"allow_input": True}},
    {"json_subset": {"lists": "any_order", "abs_tol": 0.1}},
    {"json_fields": {"fields": {"label": 1}, "fenced": True}},
    {"similarity": {"pass_mark": 0.5, "measure": "token_f1", "value": "1 x a"}},
    {"tool_calls": {"value": ["x"]}},
    {"cites": {"ids": "a[*]", "of": "inputs", "quotes": "$", "in": "inputs", "fenced": True}},
]


@pytest.mark.parametrize("text", NASTY, ids=lambda text: repr(text[:10]))
def test_no_text_makes_a_grader_err_hang_or_print_what_it_should_not(judge, text: str) -> None:
    for entry in ENTRIES:
        with ends(of=entry):
            verdict = judge(
                entry, text, expected={"label": "bug"}, output_schema={"type": "string"}, system=text[:90_000]
            )

        assert verdict.outcome in {"pass", "fail"}
        assert verdict.reason.isprintable()
        assert len(verdict.reason) < 420


@pytest.mark.parametrize("text", NASTY, ids=lambda text: repr(text[:10]))
def test_no_text_makes_the_detector_of_languages_err_or_hang(judge, text: str) -> None:
    for entry in ({"language": "en"}, {"language": {"value": "de", "min_letters": 1, "fenced": True}}):
        with ends(of=entry):
            assert judge(entry, text).outcome in {"pass", "fail", "abstain"}
