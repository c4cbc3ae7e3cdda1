"""Pipelines as versions: what a file says, all that is wrong with it at its lines, and how it is released."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from evalh.core.errors import EvalhError, UsageError, WorkspaceError
from evalh.core.prompt import Constant, First, OnBad, Pipeline, PromptRef, PromptVersion
from evalh.workspace.files import WorkTree
from evalh.workspace.git import Repository, probe
from evalh.workspace.prompt.prompts import Prompts, frozen_edits
from evalh.workspace.prompt.releases import release
from hanging import ends

Put = Callable[[str, str], None]
DRAFT = "prompts/refund/draft.pipeline.yaml"
EXTRACT = """---
input: {schema: {email: string}}
output: {schema: {order_id?: string, kind: string, age: integer}}
---
Read this: {{email}}
"""
REPLY = """---
input: {schema: {email: string, order: any, style?: string}}
---
Answer {{email}} about {{order}}
"""
ORDERS = """from steps.shop import lookup


async def find(order_id, ctx=None):
    await ctx.ask("extract", {"email": order_id})
    return lookup(order_id)
"""
PIPELINE = """description: Refunds
steps:
  extract:                                  # a prompt step
    inputs: {email: inputs.email}
    checks: [schema, {regex: kind}]
    on_bad: stop
  order:
    when: extract.order_id
    python: steps/orders.py:find
    inputs: {order_id: extract.order_id}
    timeout_s: 5
    retry: {attempts: 2}
    limit: {concurrency: 3}
    env: [SHOP_KEY]
  ask_for_id: {else: order, inputs: {email: inputs.email}}
  reply:
    when: order.state == 'delivered' and order.age_days < 30
    inputs: {email: inputs.email, order: order, style: {value: short}}
    model: careful
  decline: {else: reply, prompt: late@v1, inputs: {email: inputs.email, order: {first: [order, extract]}}, after: order}
output: [ask_for_id, reply, decline]
"""


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(path: str, text: str) -> None:
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    write("prompts/extract/draft.prompt", EXTRACT)
    write("prompts/reply/v1.prompt", REPLY)
    write("prompts/late/v1.prompt", REPLY)
    write("prompts/ask_for_id/v1.prompt", "Which order? {{email}}")
    write("steps/orders.py", ORDERS)
    write("steps/shop.py", "def lookup(order_id):\n    return {'state': 'delivered'}\n")
    write(DRAFT, PIPELINE)
    return write


def prompts(root: Path, **live: str) -> Prompts:
    return Prompts(WorkTree(root), "prompts", live)


def repository(root: Path) -> Repository:
    found = probe(root)
    assert isinstance(found, Repository)
    return found


def load(root: Path, version: str = "draft") -> PromptVersion:
    return prompts(root).load("refund", version)


def steps(root: Path) -> Pipeline:
    pipeline = load(root).pipeline
    assert pipeline is not None
    return pipeline


def mistakes(root: Path) -> list[str]:
    with pytest.raises(WorkspaceError) as caught:
        load(root)
    return [
        f"{(one.where or '').removeprefix(DRAFT + ':')}: {one.what} | {one.hint}"
        for one in (caught.value, *caught.value.others)
    ]


# -- what a file says


def test_a_pipeline_is_a_version_made_of_steps(tmp_path: Path, put: Put) -> None:
    version = load(tmp_path)
    pipeline = version.pipeline
    assert pipeline is not None

    assert (version.label, version.path, version.description) == ("refund@draft", DRAFT, "Refunds")
    assert version.sections == ()
    assert version.variables == {"email"}
    assert [one.name for one in pipeline.steps] == ["extract", "order", "ask_for_id", "reply", "decline"]
    assert pipeline.output == ("ask_for_id", "reply", "decline")
    extract, order, ask_for_id, reply, decline = pipeline.steps
    assert extract.version == prompts(tmp_path).load("extract", "draft")
    assert (extract.on_bad, [one.kind for one in extract.checks]) == (OnBad.STOP, ["schema", "regex"])
    assert [one.where for one in extract.checks] == [f"{DRAFT}:5", f"{DRAFT}:5"]
    assert order.function is not None
    assert (order.function.timeout_s, order.function.attempts, order.function.concurrency) == (5.0, 2, 3)
    assert (order.function.env, list(order.function.asks)) == (("SHOP_KEY",), ["extract"])
    assert ask_for_id.otherwise == "order"
    assert reply.inputs["style"] == Constant("short")
    assert (reply.model, reply.where) == ("careful", f"{DRAFT}:16")
    assert isinstance(decline.inputs["order"], First)
    assert (decline.after, decline.version and decline.version.label) == (("order",), "late@v1")


def test_the_example_of_the_reference_is_a_pipeline(tmp_path: Path, put: Put) -> None:
    page = (Path(__file__).parents[3] / "docs/reference/pipelines.md").read_text()
    put("prompts/reply_late/v1.prompt", REPLY)
    put(DRAFT, page.split("```yaml\n")[1].split("```")[0])

    assert [one.name for one in steps(tmp_path).steps] == ["extract", "order", "ask_for_id", "reply", "decline"]


def test_steps_come_after_what_they_read_and_otherwise_as_the_file_has_them(tmp_path: Path, put: Put) -> None:
    put("prompts/p/v1.prompt", "x")
    names = ["d", "a", "c", "b", "e"]
    late = {"d": "after: [b]", "c": "when: a", "b": "when: c and a"}
    put(DRAFT, "steps:\n" + "".join(f"  {name}: {{prompt: p, {late.get(name, '')}}}\n" for name in names))

    pipeline = steps(tmp_path)

    assert [one.name for one in pipeline.steps] == ["a", "c", "b", "d", "e"]
    assert pipeline.output == ("e",)


def test_inputs_are_expressions_or_constants(tmp_path: Path, put: Put) -> None:
    put("prompts/p/v1.prompt", "x")
    put(DRAFT, "steps: {p: {inputs: {a: 1, b: 0.5, c: true, d: [1, x], e: {value: inputs.x}, f: {value: null}}}}")

    found = steps(tmp_path).step("p").inputs

    assert {name: source.value for name, source in found.items() if isinstance(source, Constant)} == {
        "a": 1,
        "b": 0.5,
        "c": True,
        "d": [1, "x"],
        "e": "inputs.x",
        "f": None,
    }


def test_a_case_needs_only_the_inputs_of_steps_that_always_run(tmp_path: Path, put: Put) -> None:
    put("prompts/p/v1.prompt", "x")
    put(
        DRAFT,
        """steps:
  p: {inputs: {a: inputs.a, b: "inputs.b | default('')"}}
  q: {prompt: p, when: inputs.c, inputs: {d: inputs.d}}
  r: {prompt: p, inputs: {x: q, e: inputs.e}}
  s: {prompt: p, inputs: {x: p, f: inputs.f}}
""",
    )

    assert load(tmp_path).variables == {"a", "f"}


# -- digests


def test_the_digest_covers_all_that_changes_an_output_and_nothing_else(tmp_path: Path, put: Put) -> None:
    def digest_with(path: str, old: str, new: str) -> str:
        before = (tmp_path / path).read_text()
        assert old in before
        put(path, before.replace(old, new))
        found = load(tmp_path).digest
        put(path, before)
        return found

    same = load(tmp_path).digest
    assert load(tmp_path).digest == same
    assert digest_with(DRAFT, "# a prompt step", "# the first") == same
    assert digest_with(DRAFT, "Refunds", "All refunds") == same
    assert digest_with(DRAFT, "model: careful", "model: small") == same
    others = [
        digest_with(DRAFT, "< 30", "< 31"),
        digest_with(DRAFT, "on_bad: stop", "on_bad: review"),
        digest_with(DRAFT, "{regex: kind}", "{regex: sort}"),
        digest_with(DRAFT, "[ask_for_id, reply, decline]", "[ask_for_id, decline, reply]"),
        digest_with("prompts/extract/draft.prompt", "Read this", "Read that"),
        digest_with("steps/orders.py", "lookup(order_id)", "lookup(str(order_id))"),
        digest_with("steps/shop.py", "delivered", "late"),
    ]
    assert len({same, *others}) == 1 + len(others)


def test_a_functions_digest_follows_imports_without_running_them(tmp_path: Path, put: Put) -> None:
    put(
        "steps/orders.py",
        "import os, json\nfrom steps import shop\nfrom .deep import rules\n\ndef find(order_id): ...\n",
    )
    put("steps/__init__.py", "raise SystemExit('executed')\n")
    put("steps/deep/__init__.py", "raise SystemExit('executed')\n")
    put("steps/deep/rules.py", "import steps.orders\nfrom ..table import *\n")
    put("steps/table.py", "TABLE = 1\n")
    put("elsewhere.py", "x = 1\n")
    files = ("steps/orders.py", "steps/__init__.py", "steps/shop.py", "steps/deep/rules.py", "steps/table.py")
    before = load(tmp_path).digest

    for path in files:
        text = (tmp_path / path).read_text()
        put(path, text + "# changed\n")
        assert load(tmp_path).digest != before, path
        put(path, text)
    put("elsewhere.py", "x = 2\n")
    assert load(tmp_path).digest == before


def test_any_revision_is_read_from_its_own_tree(tmp_path: Path, put: Put) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    before = load(tmp_path)
    put("steps/shop.py", "def lookup(order_id): ...\n")
    put("prompts/extract/draft.prompt", EXTRACT.replace("Read", "Scan"))
    repository = probe(tmp_path)
    assert isinstance(repository, Repository)
    there = Prompts(repository.tree("HEAD"), "prompts", {}).load("refund", "draft")

    assert there.digest == before.digest != load(tmp_path).digest
    assert there.label == "HEAD:refund@draft"
    assert there.pipeline is not None
    assert there.pipeline.steps[0].where == f"HEAD:{DRAFT}:3"


# -- what is wrong, each at its line

STEP = "steps:\n  extract: {inputs: {email: inputs.email}}\n"
WRONG = {
    # keys
    "stepz: {}": ("1: unknown key 'stepz' | did you mean 'steps'?",),
    "steps: {}": ("1: 'steps' must be a mapping of steps",),
    "steps: [extract]": ("1: 'steps' must be a mapping of steps",),
    "steps:\n  extract:\n": ("2: 'extract' must be a mapping, not null",),
    "steps:\n  extract: {input: {}}": ("2: unknown key 'input' | did you mean 'inputs'?",),
    "steps:\n  extract: {on_bad: halt}": ("2: 'on_bad' must be continue or stop or review",),
    "steps:\n  extract: {each: x}": ("2: 'each' cannot be used yet | 'each' is reserved for a step that runs once",),
    "steps:\n  extract: {history: x}": ("2: 'history' cannot be used yet",),
    "steps:\n  extract: {tools: []}": ("2: 'tools' cannot be used yet",),
    "steps:\n  extract: {keep: true}": ("2: 'keep' is for functions, and the step has no 'python'",),
    "steps:\n  a: {prompt: extract, python: steps/orders.py:find}": ("2: a step is a prompt or a function",),
    "steps:\n  a: {python: steps/orders.py:find, model: small}": ("2: a function has no model",),
    "steps:\n  a: {python: steps/orders.py:find, timeout_s: 0}": ("2: 'timeout_s' must be a number above 0",),
    "steps:\n  a: {python: steps/orders.py:find, env: [A B]}": ("2: 'env' must hold a variable's name",),
    # names
    "steps:\n  inputs: {prompt: extract}": ("2: 'inputs' is reserved and cannot be a step's name",),
    "steps:\n  expected: {prompt: extract}": ("2: 'expected' is reserved",),
    "steps:\n  tools: {prompt: extract}": (
        "2: 'tools' is reserved and cannot be a step's name | 'tools' is reserved for models",
    ),
    "steps:\n  not: {prompt: extract}": ("2: 'not' is a word of expressions",),
    "steps:\n  ask-id: {prompt: extract}": (
        "2: 'ask-id' is not a step's name | letters, digits and _, up to 64: ask_id",
    ),
    f"steps:\n  {'a' * 65}: {{prompt: extract}}": ("2: 'aaa",),
    # prompts and functions
    "steps:\n  extrct: {}": ("2: no prompt 'extrct' | did you mean 'extract'?",),
    "steps:\n  a: {prompt: extract@v9}": ("2: no version 'v9' of prompt 'extract' | have: draft",),
    "steps:\n  a: {prompt: v3}": ("2: 'v3': a step must name a prompt of the same tree",),
    "steps:\n  a: {prompt: 'HEAD:extract'}": ("2: 'HEAD:extract': a step must name a prompt of the same tree",),
    "steps:\n  a: {prompt: refund}": ("2: refund@draft is a pipeline, but a step needs a single prompt",),
    "steps:\n  a: {python: steps/orders.py}": ("2: 'steps/orders.py' does not name a function",),
    "steps:\n  a: {python: package.module:find}": ("2: 'package.module:find' does not name a function",),
    "steps:\n  a: {python: ../orders.py:find}": ("2: '../orders.py' leaves the workspace",),
    "steps:\n  a: {python: steps/order.py:find}": (
        "2: there is no file steps/order.py | did you mean 'steps/orders.py'?",
    ),
    "steps:\n  a: {python: steps/orders.py:fnd}": ("2: steps/orders.py has no function 'fnd' | did you mean 'find'?",),
    # edges
    f"{STEP}  b: {{prompt: extract, after: [extrct]}}": ("3: no step 'extrct' | did you mean 'extract'?",),
    f"{STEP}  b: {{prompt: ask_for_id, else: extract, inputs: {{email: extract.kind}}}}": (
        "3: step 'extract' has no `when`, so it cannot have an `else`",
    ),
    "steps:\n  a: {prompt: ask_for_id, when: inputs.x, else: a, inputs: {email: inputs.x}}": (
        "2: `else` names its own step",
    ),
    f"{STEP}output: [extract, extrct, extract]": ("3: no step 'extrct'", "3: the output names 'extract' twice"),
    "steps:\n  a: {prompt: ask_for_id, inputs: {email: c}}\n  b: {prompt: ask_for_id, inputs: {email: a}}\n"
    "  c: {prompt: ask_for_id, inputs: {email: b}}": ("2: the steps depend on each other in a circle: a → c → b → a",),
    "steps:\n  a: {prompt: ask_for_id, inputs: {email: a}}": ("2: the steps depend on each other in a circle: a → a",),
    "steps:\n  a: {prompt: ask_for_id, when: inputs.x, inputs: {email: inputs.x}}\n"
    "  b: {prompt: ask_for_id, else: a, inputs: {email: a}}": (
        "3: step 'b' runs only if 'a' was skipped, and reads it: it can never run",
    ),
    # expressions
    f'{STEP}  b: {{prompt: ask_for_id, when: \'extract.kind == "a" or "b"\', inputs: {{email: extrct.kind}}}}': (
        '3: \'extract.kind == "a" or "b"\': the condition, or a part of it, is the same for all cases',
        "3: no step 'extrct' | did you mean 'extract'?",
    ),
    f"{STEP}  b: {{prompt: ask_for_id, when: true, inputs: {{email: extract.kind}}}}": ("3: 'when' must be text",),
    f"{STEP}  b: {{prompt: ask_for_id, inputs: {{email: expected.kind}}}}": ("3: 'expected' is not available here",),
    f"{STEP}  b: {{prompt: ask_for_id, inputs: {{email: }}}}": ("3: 'email' cannot be null here",),
    f"{STEP}  b: {{prompt: ask_for_id, inputs: {{email: {{first: extract}}}}}}": ("3: 'first' must be a list",),
    f"{STEP}  b: {{prompt: ask_for_id, inputs: {{email: {{value: 1, first: []}}}}}}": (
        "3: 'email' cannot be a mapping here",
    ),
    f"{STEP}  b: {{prompt: ask_for_id, inputs: {{email: [extract.kind]}}}}": (
        "3: a list is a constant, so 'extract.kind' would be a text in it | \"[extract.kind, …]\" is an expression",
    ),
    # contracts
    f"{STEP}  b: {{prompt: ask_for_id}}": (
        "3: step 'b' lacks the input 'email' | inputs: {email: …}; ask_for_id@v1 needs",
    ),
    f"{STEP}  b: {{prompt: ask_for_id, inputs: {{email: extract.sort}}}}": (
        "3: extract does not give extract.sort | have: age, kind, order_id · its schema: prompts/extract/draft.prompt:3",
    ),
    f"{STEP}  b: {{prompt: reply, inputs: {{email: extract.age, order: 1, styl: extract.kind}}}}": (
        "3: extract.age is a number, not text: reply@v1 refuses it as 'email' | what reply@v1 takes: prompts/reply/",
        "3: reply@v1 has no input 'styl' | did you mean 'style'? · its schema: prompts/reply/v1.prompt:2",
    ),
    f"{STEP}  b: {{prompt: reply, inputs: {{email: 7, order: 1}}}}": ("3: the value is a number, not text: reply@v1",),
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_reported_at_its_line(tmp_path: Path, put: Put, text: str) -> None:
    put(DRAFT, text)

    found = mistakes(tmp_path)

    assert len(found) == len(WRONG[text]), found
    for told, expected in zip(found, WRONG[text], strict=True):
        assert told.startswith(expected)


def test_all_mistakes_of_a_file_are_reported_at_once(tmp_path: Path, put: Put) -> None:
    put(
        DRAFT,
        PIPELINE.replace("extract.order_id", "extract.orderid")
        .replace("late@v1", "lat")
        .replace("else: order", "else: odr"),
    )

    assert [one.partition(" |")[0] for one in mistakes(tmp_path)] == [
        "8: extract does not give extract.orderid",
        "10: extract does not give extract.orderid",
        "15: no step 'odr'",
        "20: no prompt 'lat'",
    ]


def test_a_mistake_in_a_prompt_is_reported_at_its_place(tmp_path: Path, put: Put) -> None:
    put("prompts/extract/draft.prompt", "---\nconfg: {}\n---\nx")
    put("steps/shop.py", "def lookup(:\n")

    assert mistakes(tmp_path) == [
        "steps/shop.py:1: is not Python: invalid syntax | None",
        "prompts/extract/draft.prompt:2: unknown key 'confg' | did you mean 'config'?",
    ]


@pytest.mark.parametrize(
    ("signature", "told"),
    [
        (
            "def find(order_id, *, shop, ctx): ...",
            ["6: step 'order' lacks the input 'shop' | inputs: {shop: …}; steps/orders"],
        ),
        (
            "def find(order, ctx=None): ...",
            ["6: step 'order' lacks the input 'order'", "6: steps/orders.py:find has no parameter 'ord"],
        ),
        ("async def find(*, order_id=None, limit=3): ...", []),
        ("def find(**anything): ...", []),
        ("@cached\ndef find(order): ...", []),
        ("from elsewhere import find", []),
        ("try:\n    from fast import find\nexcept ImportError:\n    def find(order): ...", []),
        ("find = lambda order: order", []),
        ("class find:\n    def __init__(self, order): ...", []),
    ],
)
def test_a_functions_parameters_are_read_from_its_definition(
    tmp_path: Path, put: Put, signature: str, told: list[str]
) -> None:
    put("steps/orders.py", signature)
    put(
        DRAFT,
        "steps:\n  extract: {inputs: {email: inputs.email}}\n  order:\n    python: steps/orders.py:find\n    when: extract.kind\n    inputs: {order_id: extract.order_id}\n",
    )

    found = mistakes(tmp_path) if told else []

    assert bool(told) or load(tmp_path).pipeline
    assert len(found) == len(told)
    assert all(one.startswith(expected) for one, expected in zip(found, told, strict=True)), found


def test_there_are_at_most_50_steps(tmp_path: Path, put: Put) -> None:
    put(
        DRAFT, "steps:\n" + "".join(f"  s{i}: {{prompt: ask_for_id, inputs: {{email: inputs.e}}}}\n" for i in range(51))
    )

    assert mistakes(tmp_path) == ["52: 51 steps; a pipeline has at most 50 | None"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps:\n" + "".join(f"  s{i}: {{prompt: extract}}\n" for i in range(20_000)), "20000 steps; a pipeline has"),
        (
            "steps:\n  extract:\n    inputs:\n" + "".join(f"      a{i}: inputs.x ~ {i}\n" for i in range(20_000)),
            "more than",
        ),
        (
            f"steps: {{extract: {{inputs: {{email: {{first: [{'inputs.x ~ 1, ' * 20_000}]}}}}}}}}",
            "more than 1,000 express",
        ),
        (f"steps: {{extract: {{inputs: {{email: {{value: {'[' * 90}{']' * 90}}}}}}}}}", "refuses it as 'email'"),
        ("a: &a [1, 1]\nsteps: {extract: {inputs: {email: *a}}}", "unknown key 'a'"),
        ("steps: {a: {prompt: ../../etc/passwd}}", "does not name a prompt"),
        ("steps: {a: {python: /etc/x.py:f}}", "leaves the workspace"),
        ("", "must be a mapping"),
    ],
)
def test_a_hostile_file_is_refused_and_hangs_nothing(tmp_path: Path, put: Put, text: str, told: str) -> None:
    put(DRAFT, text)

    with ends():
        assert told in mistakes(tmp_path)[0]


@pytest.mark.parametrize(
    "source",
    [
        "def find(:\n",
        "x = " + "(" * 5_000 + ")" * 5_000,
        "def find():\n" + "".join(f"{' ' * n}if 1:\n" for n in range(1, 200)),
        "\x00",
        "find = " + "-" * 100_000 + "1",
    ],
)
def test_a_function_file_that_no_one_can_read_is_an_error(tmp_path: Path, put: Put, source: str) -> None:
    put("steps/orders.py", source)

    assert "Python" in mistakes(tmp_path)[0]


@pytest.mark.parametrize(
    ("gives", "takes"),
    [
        ("any", "{a: string}"),
        ("{anyOf: [{type: integer}, {type: string}]}", "{a: string}"),
        ("{type: object, properties: {b: {type: integer}}}", "{a: string}"),
        ("{type: object, properties: {a: {$ref: '#/$defs/x'}}, $defs: {x: {type: integer}}}", "{a: string}"),
        ("{a?: string}", "{a: string}"),
        ("{a: number}", "{a: integer}"),
        ("{a(enum): [1, x]}", "{a: string}"),
        ("{a: any}", "{a: string}"),
    ],
)
def test_no_error_is_reported_where_only_a_value_can_decide(tmp_path: Path, put: Put, gives: str, takes: str) -> None:
    put("prompts/one/v1.prompt", f"---\noutput: {{format: json, schema: {gives}}}\n---\nx")
    put("prompts/two/v1.prompt", f"---\ninput: {{schema: {takes}}}\n---\n{{{{a}}}}")
    put(DRAFT, "steps:\n  one: {}\n  two: {inputs: {a: one.a}}\n")

    assert len(steps(tmp_path).steps) == 2


def test_a_whole_object_is_checked_against_its_readers_schema(tmp_path: Path, put: Put) -> None:
    put("prompts/one/v1.prompt", "---\noutput: {schema: {id: string, lines(array): string}}\n---\nx")
    put("prompts/two/v1.prompt", "---\ninput: {schema: {order: {id: string, total: number}}}\n---\n{{order.id}}")
    put(DRAFT, "steps:\n  one: {}\n  two: {inputs: {order: one}}\n")

    assert mistakes(tmp_path)[0].startswith("3: one.total is missing: two@v1 refuses it as 'order'")


# -- versions of both kinds


def test_a_prompt_may_become_a_pipeline(tmp_path: Path, put: Put) -> None:
    put("prompts/refund/v1.prompt", "Answer {{email}}")
    put(
        "prompts/refund/v2.pipeline.yaml",
        PIPELINE.replace("  extract:   ", "  extract:\n    prompt: extract@draft\n   "),
    )
    found = prompts(tmp_path)

    assert found.versions("refund") == ("v1", "v2", "draft")
    assert found.live("refund") == "v2"
    assert found.load("refund", "v1").pipeline is None
    assert found.resolve(PromptRef.parse("refund")).path == DRAFT


@pytest.mark.parametrize("version", ["draft", "v3"])
def test_one_version_is_not_a_prompt_and_a_pipeline(tmp_path: Path, put: Put, version: str) -> None:
    put(f"prompts/refund/{version}.prompt", "x")
    put(f"prompts/refund/{version}.pipeline.yaml", PIPELINE)

    with pytest.raises(WorkspaceError) as caught:
        load(tmp_path, version)

    assert caught.value.what == f"refund@{version} exists twice: as a prompt and as a pipeline"
    assert caught.value.what in [one.what for one in prompts(tmp_path).check_all()]


def test_other_files_are_not_versions(tmp_path: Path, put: Put) -> None:
    for name in ("v1.pipeline.yml", "v2.yaml", "pipeline.yaml", "v3.pipeline.yaml.prompt", "v4.prompt.pipeline.yaml"):
        put(f"prompts/refund/{name}", "x")

    assert prompts(tmp_path).versions("refund") == ("draft",)
    assert len([one for one in prompts(tmp_path).check_all() if one.what == "is not a version of a prompt"]) == 5


# -- releases


def test_a_release_pins_the_versions_of_its_steps(tmp_path: Path, put: Put) -> None:
    put("prompts/extract/v1.prompt", EXTRACT)
    put("prompts/extract/v2.prompt", "another")

    path = release(tmp_path, prompts(tmp_path), "refund")

    assert path.name == "v1.pipeline.yaml"
    assert path.read_text() == (
        PIPELINE.replace(
            "    inputs: {email: inputs.email}\n    checks",
            "    prompt: extract@v1\n    inputs: {email: inputs.email}\n    checks",
        )
        .replace("{else: order, inputs", "{prompt: ask_for_id@v1, else: order, inputs")
        .replace("    when: order.state", "    prompt: reply@v1\n    when: order.state")
    )
    assert load(tmp_path, "v1").digest == load(tmp_path).digest
    put("prompts/extract/draft.prompt", "changed {{email}}")
    put("prompts/reply/v2.prompt", REPLY + "changed")
    frozen = load(tmp_path, "v1").pipeline
    assert frozen is not None
    assert [one.version and one.version.label for one in frozen.steps] == [
        "extract@v1",
        None,
        "ask_for_id@v1",
        "reply@v1",
        "late@v1",
    ]


def test_a_release_keeps_anchors_and_unusual_layouts(tmp_path: Path, put: Put) -> None:
    put("prompts/p/v1.prompt", "x")
    text = """steps:
    "p": &one
        inputs: &all {a: "'{'"}
    q: &two {prompt: p , inputs: *all}
    r: {
      prompt: "p", # why
    }
    s: {}
"""
    put("prompts/s/v1.prompt", "x")
    put(DRAFT, text)

    assert release(tmp_path, prompts(tmp_path), "refund").read_text() == text.replace(
        "        inputs: &all", "        prompt: p@v1\n        inputs: &all"
    ).replace("prompt: p ,", "prompt: p@v1 ,").replace('prompt: "p"', "prompt: p@v1").replace("{}", "{prompt: s@v1}")


def test_a_step_that_is_an_alias_is_not_released(tmp_path: Path, put: Put) -> None:
    put("prompts/p/v1.prompt", "x")
    put(DRAFT, "steps:\n  a: &a {prompt: p}\n  b: *a\n")

    with pytest.raises(WorkspaceError, match="'b' is an alias of another one") as caught:
        release(tmp_path, prompts(tmp_path), "refund")

    assert caught.value.where == f"{DRAFT}:3"


def test_a_release_needs_its_prompts_to_be_released(tmp_path: Path, put: Put) -> None:
    put("prompts/extract/v1.prompt", EXTRACT.replace("Read", "Scan"))

    with pytest.raises(WorkspaceError) as caught:
        release(tmp_path, prompts(tmp_path), "refund")

    assert caught.value.what == "step 'extract' uses the draft of 'extract', which is not released"
    assert (caught.value.where, caught.value.hint) == (f"{DRAFT}:3", "evalh prompt release extract")
    release(tmp_path, prompts(tmp_path), "extract")
    release(tmp_path, prompts(tmp_path), "refund")
    with pytest.raises(UsageError, match="is the same as v1"):
        release(tmp_path, prompts(tmp_path), "refund")


def test_a_frozen_pipeline_pins_its_steps(tmp_path: Path, put: Put) -> None:
    put("prompts/refund/v1.pipeline.yaml", PIPELINE.replace("late@v1", "late"))

    told = [str(one) for one in prompts(tmp_path).check_all()]

    assert len(told) == 4
    assert told[3] == (
        "prompts/refund/v1.pipeline.yaml:20: the pipeline is frozen, but its step 'decline' does not "
        "name a version of 'late'\n  prompt: late@v1"
    )


def test_a_frozen_pipeline_cannot_be_edited_but_its_functions_may_change(tmp_path: Path, put: Put) -> None:
    put("prompts/extract/v1.prompt", EXTRACT)
    release(tmp_path, prompts(tmp_path), "refund")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    repository = probe(tmp_path)
    assert isinstance(repository, Repository)
    base = Prompts(repository.tree("main"), "prompts", {})
    put("steps/shop.py", "def lookup(order_id): ...\n")

    def edits() -> list[str]:
        return [one.what for one in frozen_edits(base, prompts(tmp_path))]

    assert edits() == []
    frozen = (tmp_path / "prompts/refund/v1.pipeline.yaml").read_text()
    put("prompts/refund/v1.pipeline.yaml", frozen.replace("< 30", "< 60"))
    assert len(edits()) == 1
    (tmp_path / "prompts/refund/v1.pipeline.yaml").unlink()
    put("prompts/refund/v1.prompt", "Answer")
    assert len(edits()) == 1


def test_a_step_of_a_missing_tree_is_an_error_and_never_a_traceback(tmp_path: Path, put: Put) -> None:
    (tmp_path / "prompts/extract/draft.prompt").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(EvalhError):
        load(tmp_path)
