"""`javascript`: what code of others may say about an output, and what it may not do."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from evalh.api.targets import WorkspaceTexts
from evalh.core.attempt import Completion, Usage
from evalh.core.case import Case
from evalh.core.digest import canonical
from evalh.core.errors import WorkspaceError
from evalh.core.verdict import GradeContext
from evalh.graders.case import entry_digest
from evalh.graders.javascript.isolate import Limits, ThrownError, call
from evalh.graders.javascript.sources import body_of, masked
from evalh.graders.registry import complete
from evalh.workspace.files import WorkTree


@pytest.fixture
def files(tmp_path: Path):
    """Write files of a workspace, and return what graders read them with."""

    def files(**content: str) -> dict[str, object]:
        for name, text in content.items():
            file = tmp_path / "evals" / name.replace("__", "/").replace("_dot_", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return {"texts": WorkspaceTexts(WorkTree(tmp_path), lambda revision: None)}

    return files


@pytest.fixture
def judge(build_grader, make_context, ask):
    def judge(entry, text: str, environment=None, **about):
        return ask(build_grader(entry, **(environment or {})), make_context(text, **about))

    return judge


@pytest.mark.parametrize(
    ("code", "text", "outcome", "score", "reason"),
    [
        ("output.length < 5", "abc", "pass", 1.0, "returned true"),
        ("output === 'a;b'", "x", "fail", 0.0, "returned false"),
        ("const s = JSON.parse(output).score; s > 0.5", '{"score": 1}', "pass", 1.0, "returned true"),
        ("let t = output;\nreturn t.length / 10", "abc", "pass", 0.3, "returned 0.3"),
        ("0", "", "fail", 0.0, "returned 0"),
        ("12", "", "pass", 1.0, "returned 12"),
        ("-1", "", "fail", 0.0, "returned -1"),
        ("({pass: false, score: 0.5, reason: 'half'})", "", "fail", 0.5, "half"),
        ("({pass: true, score: 1, reason: ' '})", "", "pass", 1.0, "returned pass"),
        ("Promise.resolve(0.5)", "", "pass", 0.5, "returned 0.5"),
        ("new Promise(done => Promise.resolve().then(() => done(true)))", "", "pass", 1.0, "returned true"),
        ("console.log(output), true", "", "pass", 1.0, "returned true"),
        ("process.env.HOME === undefined", "", "pass", 1.0, "returned true"),
    ],
)
def test_code_says_a_boolean_a_score_or_a_grading(judge, code, text, outcome, score, reason) -> None:
    verdict = judge({"javascript": code}, text)

    assert (verdict.outcome, verdict.score, verdict.reason) == (outcome, score, reason)


def test_a_threshold_decides_about_a_number_alone(judge) -> None:
    assert judge({"javascript": {"code": "0.4", "threshold": 0.5}}, "").reason == "returned 0.4; at least 0.5"
    assert judge({"javascript": {"code": "0.5", "threshold": 0.5}}, "").outcome == "pass"
    grading = "({pass: true, score: 0.4, reason: 'so'})"
    assert judge({"javascript": {"code": grading, "threshold": 0.5}}, "").outcome == "pass"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("output.nothing", "it returned undefined, not true, false, a number, or {pass, score, reason}"),
        ("null", "it returned null, not true, false, a number, or {pass, score, reason}"),
        ("'yes'", "it returned a text, not true, false, a number, or {pass, score, reason}"),
        ("[true]", "it returned a list, not true, false, a number, or {pass, score, reason}"),
        ("NaN", "it returned NaN, not true, false, a number, or {pass, score, reason}"),
        ("() => true", "it returned a function, not true, false, a number, or {pass, score, reason}"),
        ("({})", "it returned an empty object, not true, false, a number, or {pass, score, reason}"),
        ("({pass: 1})", "it returned an object with pass, not true, false, a number, or {pass, score, reason}"),
        ("({pass: true, score: NaN, reason: ''})", "it returned an object with pass, score, reason, not true, …"),
        ("missing.x", "ReferenceError: missing is not defined"),
        ("\nthrow new TypeError('no')", "TypeError: no (line 2)"),
        ("\nthrow 'a\\x1b[31m'", "threw a\\x1b[31m"),
        ("10n", "it returned bigint, not …"),
        ("new Promise(() => {})", "its promise never settles"),
        ("Promise.reject(new Error('later'))", "Error: later"),
        ("(() => { const a = {}; a.a = a; return a })()", "TypeError: circular reference"),
        ("({pass: true, score: 1, reason: {toString() { return 'x' }}})", "it returned an object with pass, …"),
    ],
)
def test_anything_else_is_an_error_unless_the_entry_wants_a_failure(judge, code, reason) -> None:
    known = reason.removesuffix("…")
    if code == "10n":
        known = "TypeError: BigInt"

    assert judge({"javascript": code}, "").outcome == "error"
    assert judge({"javascript": code}, "").reason.startswith(known)
    assert judge({"javascript": {"code": code, "throws": "fail"}}, "").outcome == "fail"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("\nwhile (true) {}", "did not end within 1 s"),
        ("\nwhile (true) { try { while (true) {} } catch {} }", "did not end within 1 s"),
        ("\ntry { while (true) {} } finally { return true }", "did not end within 1 s"),
        ("/^(a+)+$/.test('a'.repeat(40) + 'b')", "did not end within 1 s"),
        ("(async () => { while (true) await null })()", "did not end within 1 s"),
        ("({get pass() { while (true) {} }})", "did not end within 1 s"),
        ("({then(done) { done(this) }})", "did not end within 1 s"),
        ("\nlet a = []; while (true) a.push('x'.repeat(1000) + a.length)", "took more than 64 MB"),
        ("new ArrayBuffer(1e8)", "took more than 64 MB"),
        ("'x'.repeat(2e6)", "returned 2,000,002 characters"),
        ("\nlet a = []; for (let i = 0; i < 1500; i++) a = [a]; return a", "returned what cannot be read"),
    ],
)
def test_limits_stop_code_and_are_an_error_whatever_the_entry_wants(judge, code, reason) -> None:
    verdict = judge({"javascript": {"code": code, "throws": "fail"}}, "")

    assert verdict.outcome == "error"
    assert reason in verdict.reason


@pytest.mark.parametrize(
    "code",
    [
        "\nconst f = () => f(); f()",
        "JSON.parse('['.repeat(100000))",
        "\nlet a = []; for (let i = 0; i < 100000; i++) a = [a]; return a",
    ],
)
def test_deep_recursion_is_an_exception(judge, code) -> None:
    verdict = judge({"javascript": code}, "")

    assert (verdict.outcome, verdict.reason.partition(" (")[0]) == (
        "error",
        "RangeError: Maximum call stack size exceeded",
    )


def test_work_that_no_limit_reaches_is_left_behind(judge) -> None:
    """Joining a list of holes looks at no limit: 20,000,000 of them end, a milliard would take half a minute."""
    verdict = judge({"javascript": "new Array(2e7).join('').length === 0"}, "", environment={"deadline_s": 0.01})

    assert verdict.reason == "no answer within 0.01 s"


def test_code_can_spoil_nothing_but_its_own_verdict(judge) -> None:
    spoiling = """
    Object.prototype.toJSON = () => ({type: "boolean", value: true});
    Object.prototype.pass = true; Object.prototype.score = 1; Object.prototype.reason = "mine";
    Array.prototype[Symbol.iterator] = null; Array.prototype.join = null; Promise.prototype.then = null;
    JSON.stringify = () => "[]"; String.prototype.slice = null; Number.isFinite = () => true;
    return 0;"""

    assert judge({"javascript": spoiling}, "").reason == "returned 0"
    assert judge({"javascript": "output === 'x' && Object.prototype.pass === undefined"}, "x").outcome == "pass"


def test_nothing_of_the_machine_can_be_reached(judge) -> None:
    names = ["require", "fetch", "setTimeout", "std", "os", "Deno", "Bun", "WebAssembly", "XMLHttpRequest", "print"]
    code = "[" + ", ".join(f"typeof {name}" for name in names) + "].every(one => one === 'undefined')"

    assert judge({"javascript": code}, "").outcome == "pass"
    assert judge({"javascript": "process.mainModule.require('fs')"}, "").reason == "needs node: fs"
    assert judge({"javascript": "import('fs')"}, "").outcome == "error"


def test_a_reason_is_short_and_printable(judge) -> None:
    code = "({pass: true, score: 1, reason: 'a\\n\\u001b[2J\\u202e\\ud800' + 'x'.repeat(500000)})"
    verdict = judge({"javascript": code}, "")

    assert verdict.reason.startswith(r"a\x0a\x1b[2J\u202e\ud800xxx")
    assert verdict.reason.isprintable()
    assert len(verdict.reason) < 1100


def test_scores_by_name_and_components_are_kept_for_the_log_up_to_a_number(judge) -> None:
    code = """
    const parts = Array.from({length: 70}, (_, at) => ({pass: at > 0, score: at / 70, reason: `part ${at}`}));
    return {pass: true, score: 1, reason: "all", namedScores: {tone: 0.5, bad: "x"}, componentResults: [...parts, 7]};"""
    verdict = judge({"javascript": code}, "")

    assert verdict.detail["scores"] == {"tone": 0.5}
    assert len(verdict.detail["components"]) == 50
    assert verdict.detail["components"][0] == {"pass": False, "score": 0, "reason": "part 0"}


@pytest.mark.parametrize("text", ["\ud800 half a pair", "nul \x00", "\u2028</script>`${1}`'\"\\", "é" * 100_000])
def test_the_output_arrives_as_it_is(judge, text) -> None:
    entry = {"javascript": {"code": "output === context.config", "config": text}}

    assert judge(entry, text).outcome == "pass"


def test_the_json_of_an_output_can_be_handed_over(judge) -> None:
    entry = {"javascript": {"code": "output.a.length === 2", "parse": True}}

    assert judge(entry, '{"a": [1, 2]}').outcome == "pass"
    assert judge(entry, "nope").reason.startswith("the output is not JSON")


def test_transforms_run_in_order_before_the_code(judge, files) -> None:
    environment = files(upper_dot_js="module.exports = (output, {vars}) => output.toUpperCase() + vars.end;")
    steps = ["JSON.parse(output)", "output.text.trim()", {"file": "evals/upper.js"}]
    entry = {"javascript": {"code": "output === 'HI!'", "transform": steps}}

    assert judge(entry, '{"text": " hi "}', inputs={"end": "!"}, environment=environment).outcome == "pass"
    broken = judge(entry, "nope", environment=environment)
    assert (broken.outcome, broken.reason) == ("error", "transform 1: SyntaxError: unexpected token: 'nope'")
    nothing = judge({"javascript": {"code": "true", "transform": "output.x"}}, "a")
    assert nothing.reason == "transform 1 returned nothing"


def test_code_sees_the_case_and_its_answer(build_grader, ask) -> None:
    seen = build_grader({"javascript": {"code": "({pass: true, score: 1, reason: JSON.stringify(context)})"}})
    case = Case("t-1", {"ask": "Hi"}, expected={"label": "bug"}, tags=frozenset({"lang:en", "urgent"}))
    completion = Completion(
        text="yes", usage=Usage(input_tokens=3, output_tokens=1), latency_ms=12.0, model="gpt-5-mini"
    )

    context = json.loads(ask(seen, GradeContext(case=case, completion=completion)).reason)

    assert context["vars"] == context["test"]["vars"] == {"ask": "Hi"}
    assert context["test"]["metadata"] == {"lang": "en"}
    assert context["expected"] == {"label": "bug"}
    assert context["provider"]["id"] == "gpt-5-mini"
    assert context["prompt"] is None
    assert context["providerResponse"] == {
        "output": "yes",
        "tokenUsage": {"prompt": 3, "completion": 1, "total": 4},
        "latencyMs": 12.0,
    }


def test_it_works_inside_other_graders_and_in_rows(judge) -> None:
    short = {"javascript": "output.length < 5"}

    assert judge({"not": short}, "abc").outcome == "fail"
    assert judge({"any_of": [{"javascript": "output === 'b'"}, short]}, "abc").outcome == "pass"
    assert judge(
        {"weighted": {"graders": [short, {"javascript": {"code": "0.4", "weight": 3}}], "threshold": 0.5}}, "a"
    ).score == pytest.approx(0.55)
    assert (
        judge("case", "abc", graders=[{"javascript": {"code": "output === 'abc'", "name": "exact"}}]).outcome == "pass"
    )


# -- files


@pytest.mark.parametrize(
    ("content", "name", "outcome"),
    [
        ("module.exports = (output) => output === 'abc';", "", "pass"),
        ("exports.same = (output) => output === 'abc';", ":same", "pass"),
        ("module.exports = { default: async (o) => { await null; return o === 'abc' } };", "", "pass"),
        ("export default (output) => output === 'abc'", "", "pass"),
        (
            "export default function same(output) {\n  return again(output);\n}\nexport const again = (o) => o === 'abc';",
            "",
            "pass",
        ),
        ("export async function same(output) { return output === 'abc' }", ":same", "pass"),
        ("const f = (o) => o === 'abc';\nexport { f as default, f };", ":f", "pass"),
        ("export default class { }", "", "error"),
        ("module.exports = 5;", "", "error"),
        ("module.exports = {};", ":toString", "error"),
    ],
)
def test_a_file_exports_its_function(judge, files, content, name, outcome) -> None:
    environment = files(check_dot_mjs=content)

    assert judge({"javascript": {"file": f"evals/check.mjs{name}"}}, "abc", environment=environment).outcome == outcome


def test_a_file_requires_files_beside_it_and_nothing_else(judge, files) -> None:
    environment = files(
        a_dot_js="import { size as long } from './lib/size.js';\nimport limits from './limits.json';\n"
        "import all, * as every from './lib/all.mjs';\n"
        "export default (output, { config }) =>\n  long(output) === limits.most && all === 7 && every.two === config.two;",
        lib__size_dot_js="// require('./none'), which is a comment\nexports.size = (text) => require('../deep/').twice(text) / 2;",
        deep__index_dot_js="exports.twice = (text) => text.length * 2; const s = \"import x from 'fs'\";",
        limits_dot_json='{"most": 3}',
        lib__all_dot_mjs="export const two = 2;\nconst all = 7;\nexport { all as default };",
    )
    entry = {"javascript": {"file": "evals/a.js", "config": {"two": 2}}}

    assert judge(entry, "abc", environment=environment).outcome == "pass"


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        ("\nconst fs = require('fs');", "evals/check.js:2", "the code needs node: fs"),
        ("import { x } from 'node:path';", "evals/check.js:1", "the code needs node: node:path"),
        ("import x from './none.js';", "evals/check.js:1", "no file './none.js' beside evals/check.js"),
        ("require('../../../etc/passwd');", "evals/check.js:1", "'../../../etc/passwd' leads out of the workspace"),
        ("\n\nlet x = ;", "evals/check.js:3", "the code cannot be read: unexpected token in expression: ';'"),
        ("export * from './check.js';", "evals/check.js:1", "cannot read this export"),
        ("x" * 300_000, "evals/check.js", "the file has 300,000 characters; at most 200,000 are read"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_line(build_grader, files, content, where, what) -> None:
    with pytest.raises(WorkspaceError) as told:
        build_grader({"javascript": {"file": "evals/check.js"}}, **files(check_dot_js=content))

    assert (told.value.where, told.value.what) == (where, what)


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({}, "grader 'javascript' needs code or a file, one of them"),
        ({"code": "1", "file": "evals/a.js"}, "grader 'javascript' needs code or a file, one of them"),
        ({"file": "evals/none.js"}, "no file 'evals/none.js'"),
        ({"file": "evals/a.ts"}, "'evals/a.ts' is not JavaScript"),
        ({"file": ".env"}, "'.env' is hidden: it is not shown to a model"),
        ({"code": "1 +* 2"}, "grader 'javascript' cannot read its code: unexpected token in expression: '*'"),
        ({"code": "a\nb c\n"}, "grader 'javascript' cannot read its code: expecting ';' in line 2 of it"),
        ({"code": "1", "transform": [{"path": "x"}]}, "grader 'javascript' has a step that is neither code nor a file"),
        ({"code": "1", "throws": "pass"}, "grader 'javascript': 'throws' must be error or fail, not 'pass'"),
    ],
)
def test_an_entry_that_cannot_work_is_told_at_its_line_before_a_run(build_grader, files, entry, what) -> None:
    environment = files(a_dot_ts="export default 1", a_dot_js="1")
    (environment["texts"].tree._root / ".env").write_text("x")

    with pytest.raises(WorkspaceError) as told:
        build_grader({"javascript": entry}, **environment)

    assert (told.value.where, told.value.what) == ("evals/triage.yaml:7", what)


def test_a_file_requires_at_most_fifty(build_grader, files) -> None:
    content = {f"m{number}_dot_js": f"require('./m{number + 1}')" for number in range(60)}

    with pytest.raises(WorkspaceError, match="requires more than 50 files"):
        build_grader({"javascript": {"file": "evals/m0.js"}}, **files(**content))


def test_what_a_file_requires_is_part_of_the_identity(build_grader, files) -> None:
    entry = {"javascript": {"file": "evals/a.js"}}
    first = build_grader(
        entry, **files(a_dot_js="module.exports = require('./b')", b_dot_js="module.exports = () => 1")
    )
    was = first.document()
    again = build_grader(entry, **files())
    other = build_grader(entry, **files(b_dot_js="module.exports = () => 0"))

    assert was == again.document() != other.document()


def test_an_exception_in_a_file_names_its_line(judge, files) -> None:
    environment = files(a_dot_js="module.exports = (output) => {\n  return output.x.y;\n}")

    verdict = judge({"javascript": {"file": "evals/a.js"}}, "", environment=environment)

    assert verdict.reason == "TypeError: cannot read property 'y' of undefined (evals/a.js:2)"


# -- reading code


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("output === 'x'  \n", "return output === 'x'"),
        ("output === 'x';", "return output === 'x'"),
        ("const a = 1; const b = 2; a < b;", "const a = 1; const b = 2; return a < b"),
        ("let a = ';'; a === \";\"", "let a = ';'; return a === \";\""),
        ("var f = (x) => { one(x); return x }; f(output)", "var f = (x) => { one(x); return x }; return f(output)"),
        ("const p = /;'/; p.test(output)", "const p = /;'/; return p.test(output)"),
        ("const a = 4 / 2; a / 2 > `;`", "const a = 4 / 2; return a / 2 > `;`"),
        ("const a = 1", "const a = 1"),
        ("return_ + 1", "return return_ + 1"),
        ("const a = 1;\nreturn a", "const a = 1;\nreturn a"),
    ],
)
def test_one_line_is_its_value_and_several_are_a_body(code, body) -> None:
    assert body_of(code) == body


@pytest.mark.parametrize(
    "code", ["", "'", "`", "/", "'a\\", "/* x", "a = /[/]'/ + 'b'", "// '\n'x'", "`a${`b`}c`", "\u2028'"]
)
def test_masking_keeps_every_place(code) -> None:
    shown = masked(code)

    assert len(shown) == len(code)
    assert [at for at, one in enumerate(shown) if one == "\n"] == [at for at, one in enumerate(code) if one == "\n"]


# -- the engine


def test_a_call_that_others_slowed_down_is_made_again() -> None:
    """The engine's clock counts the whole process: what other threads compute must not cost a verdict."""
    stop = threading.Event()
    others = [threading.Thread(target=_spin, args=(stop,), daemon=True) for _ in range(3)]
    for other in others:
        other.start()
    try:
        for _ in range(3):
            found = call(
                "() => { let s = 0; for (let i = 0; i < 3e6; i++) s += i % 7; return s > 0 }", None, Limits(seconds=0.5)
            )
            assert found.value is True
    finally:
        stop.set()
        for other in others:
            other.join()


def _spin(stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            call("() => { for (let i = 0; i < 1e6; i++); }", None, Limits())
        except ThrownError:
            return


def test_the_older_engine_of_the_same_name_is_told_apart(tmp_path: Path) -> None:
    for name in ("quickjs", "quickjs_ng"):
        folder = tmp_path / name / f"{name}-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n")
    program = "from evalh.graders.javascript.isolate import missing_engine; print(missing_engine())"

    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'quickjs')!r}); {program}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert "('needs quickjs-ng, but quickjs is installed under its name'" in found.stdout
    assert "pip uninstall quickjs" in found.stdout


def test_without_the_extra_the_entry_says_what_to_install() -> None:
    program = """
import sys
sys.modules["quickjs"] = None
sys.path.insert(0, "tests")
from evalh.core.suite import GraderSpec
from evalh.graders.registry import build
from grading import environment
try:
    build(GraderSpec(kind="javascript", name="javascript", params={"value": "true"}, where="evals/s.yaml:3"), environment())
except Exception as exc:
    print(exc)
"""
    root = Path(__file__).parents[3]

    found = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)

    assert "evals/s.yaml:3: grader 'javascript' needs a package that is not installed" in found.stdout
    assert "pip install 'evalh[promptfoo]'" in found.stdout


def test_a_suite_without_it_loads_no_engine(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, 'tests'); from evalh.core.suite import GraderSpec;"
        "from evalh.graders.registry import build; from grading import environment;"
        "build(GraderSpec(kind='equals', name='equals', where=''), environment());"
        "print([name for name in sys.modules if 'quickjs' in name or 'javascript' in name])"
    )

    found = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )

    assert found.stdout == "[]\n"


def test_a_strangers_row_brings_no_code_that_base_does_not_have(build_grader) -> None:
    """With `gate --trust base` a pull request's rows are data; code in them may run only if base has the same entry."""
    entry = {"javascript": "true"}
    rows = [Case("t-1", {}, graders=[entry], where="datasets/d.jsonl:1")]

    with pytest.raises(WorkspaceError, match="runs the code of 'javascript' in an entry that no row of base has"):
        complete([build_grader("case", trusted=frozenset())], rows)

    complete([build_grader("case", trusted=frozenset({entry_digest(canonical(entry))}))], rows)
