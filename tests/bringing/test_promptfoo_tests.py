"""Tests as promptfoo reads them: cells of a CSV file, lists of variables, what a test inherits, scenarios."""

import json
from pathlib import Path
from typing import Any

import pytest

from evalh.interop.foreign.promptfoo.csv_tests import as_test, csv_rows, split_list
from evalh.interop.foreign.promptfoo.suite import read_suite
from evalh.interop.foreign.transfer import ImportRequest, ProofSheet, Transfer

RECORDED = Path(__file__).parents[1] / "recorded/promptfoo"


@pytest.fixture
def read(tmp_path: Path):
    """Import a config, and return what becomes of it."""

    def read(config: str, *, allow_code: bool = False, **files: str) -> Transfer:
        for name, text in {"promptfooconfig__yaml": config, **files}.items():
            (tmp_path / name.replace("__", ".")).write_text(text)
        into = tmp_path / "out"
        return read_suite(ImportRequest(source=tmp_path, into=into, name="n", allow_code=allow_code, taken=frozenset()))

    return read


def rows(transfer: Transfer) -> list[dict[str, Any]]:
    return list(transfer.datasets[0].rows)


def test_cells_are_read_as_promptfoo_read_them() -> None:
    recorded = json.loads((RECORDED / "cells.json").read_text())["tests"]
    found = [as_test(row, "w", ProofSheet()) for _, row in csv_rows((RECORDED / "cells.csv").read_text(), "cells.csv")]

    ours = [
        {
            "vars": test["vars"],
            "assert": [{key: value for key, value in one.items() if value is not None} for one in test["assert"]],
            "threshold": test.get("threshold"),
            "metadata": test["metadata"],
        }
        for test in found
    ]
    assert ours == recorded


def test_a_list_keeps_quoted_commas_and_skips_empty_parts() -> None:
    assert split_list('a,, "b, c" ,"say ""x""","q\\"\\\\", d e ', "w") == ["a", "b, c", 'say "x"', 'q"\\', "d e"]


def test_lists_of_texts_multiply_and_other_lists_are_values(read) -> None:
    found = rows(
        read("prompts: ['{{a}}{{b}}{{c}}']\nproviders: [echo]\ntests: [{vars: {a: [x, y], b: [1, 2], c: [p, q]}}]\n")
    )

    assert [row["inputs"]["a"] + row["inputs"]["c"] for row in found] == ["xp", "xq", "yp", "yq"]
    assert {row["inputs"]["b"] for row in found} == {"1,2"}  # as JavaScript prints it


def test_the_default_test_is_inherited_and_its_assertions_come_first(read) -> None:
    transfer = read(
        "prompts: ['{{a}}{{b}}']\nproviders: [echo]\n"
        "defaultTest: {vars: {a: 1, b: 2}, threshold: 0.5, metadata: {m: x}, assert: [{type: contains, value: first}]}\n"
        "tests:\n"
        "- {vars: {b: 3}, assert: [{type: contains, value: second, weight: 2}]}\n"
        "- {options: {disableDefaultAsserts: true}, threshold: 0, assert: [{type: contains, value: third}]}\n"
    )

    first, second = rows(transfer)
    assert first["inputs"] == {"a": 1, "b": 3}
    assert first["tags"] == ["m:x"]
    (weighted,) = first["graders"]
    assert [one["contains"]["value"] for one in weighted["weighted"]["graders"]] == ["first", "second"]
    assert weighted["weighted"]["threshold"] == 0.5
    assert second["graders"][0]["weighted"]["threshold"] == 0
    assert transfer.suites["n"]["graders"] == ["case"]


def test_default_assertions_that_are_the_same_for_all_are_the_suites(read) -> None:
    transfer = read(
        "prompts: ['{{a}}']\nproviders: [echo]\ndefaultTest: {assert: [{type: contains, value: x, weight: 0}]}\n"
        "tests: [{vars: {a: 1}}, {vars: {a: 2}, assert: [{type: is-json}]}]\n"
    )

    assert transfer.suites["n"]["graders"] == [
        {"contains": {"value": "x", "normalize": "none", "required": False}},
        {"case": {"none": "pass"}},
    ]


def test_a_row_whose_assertions_are_all_lost_is_ungraded_and_one_without_any_passes(read) -> None:
    transfer = read(
        "prompts: [hi]\nproviders: [echo]\ntests: [{vars: {a: 1}}, {vars: {a: 2}, assert: [{type: bleu, value: x}]}]\n"
    )

    assert transfer.suites["n"]["graders"] == ["case"]
    assert ["graders" in row for row in rows(transfer)] == [True, False]


def test_scenarios_are_every_config_with_every_test(read) -> None:
    transfer = read(
        "prompts: ['{{l}}{{i}}']\nproviders: [echo]\nscenarios:\n"
        "- config: [{vars: {l: fr}, assert: [{type: contains, value: F}]}, {vars: {l: de}}]\n"
        "  tests: [{vars: {i: 1}, assert: [{type: contains, value: '{{l}}'}]}, {vars: {i: 2}}]\n"
    )

    found = rows(transfer)
    assert [(row["inputs"]["l"], row["inputs"]["i"]) for row in found] == [("fr", 1), ("fr", 2), ("de", 1), ("de", 2)]
    assert [len(row.get("graders", ())) for row in found] == [2, 1, 1, 0]
    assert found[0]["graders"][1]["contains"]["value"] == "fr"


def test_a_test_that_is_inserted_moves_no_other(read) -> None:
    tests = [
        "{vars: {q: Where is it?}}",
        "{vars: {q: [a b, c d]}, description: two}",
        "{description: named, vars: {q: x}}",
    ]
    head = "prompts: ['{{q}}']\nproviders: [echo]\ntests:\n"

    before = [row["id"] for row in rows(read(head + "".join(f"- {test}\n" for test in tests)))]
    after = [
        row["id"]
        for row in rows(read(head + "".join(f"- {test}\n" for test in ["{vars: {q: new}}", *reversed(tests)])))
    ]

    assert len(set(before)) == 4
    assert set(before) < set(after)
    assert "named" in before


def test_providers_that_choose_prompts_get_suites_of_their_own(read) -> None:
    transfer = read(
        "prompts: [{label: a, raw: 'A {{q}}'}, {label: b, raw: 'B {{q}}'}]\n"
        "providers: [openai:gpt-4.1, {id: anthropic:messages:claude-haiku-4-5, prompts: [b], config: {max_tokens: 9}}]\n"
        "tests: [{vars: {q: 1}}]\nevaluateOptions: {repeat: 3}\nenv: {PROMPTFOO_PASS_RATE_THRESHOLD: 80}\n"
    )

    assert {name: len(versions) for name, versions in transfer.prompts.items()} == {
        "n": 2,
        "n-anthropic-messages-claude-haiku-4-5": 1,
    }
    assert transfer.suites["n"]["trials"] == 3
    assert transfer.suites["n"]["gate"] == {"good_rate": {"at_least": 0.8}}


def test_a_recorded_output_becomes_a_recording(read) -> None:
    transfer = read(
        "prompts: ['{{q}}']\nproviders: [echo]\ntests: t.csv\n",
        t__csv="q,__providerOutput,__description\n1,one,first\n2,,second\n",
    )

    assert transfer.recordings["recorded/n.jsonl"] == [{"id": "first", "output": "one"}]
    assert transfer.models["recorded"]["provider"] == "replay"


def test_python_is_kept_only_if_code_is_allowed(read) -> None:
    config = "prompts: [hi]\nproviders: [echo]\ntests: [{assert: [{type: python, value: \"'x' in output\"}]}]\n"

    assert "evals/imported/promptfoo_assert.py" not in read(config).files
    allowed = read(config, allow_code=True)
    assert "evals/imported/promptfoo_assert.py" in allowed.files
    (row,) = rows(allowed)
    assert row["graders"][0]["python"]["function"] == "evals/imported/promptfoo_assert.py:judge"
