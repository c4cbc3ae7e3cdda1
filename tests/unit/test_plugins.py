"""Users' code from files and packages."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from evalh.core.attempt import Completion
from evalh.core.case import Case
from evalh.core.errors import WorkspaceError
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.registry import build
from evalh.plugins import function_loader, load_plugins, load_provider
from grading import environment as grading_environment

MAX_WORDS = """
from evalh import GradeContext, Verdict, grader

@grader("max_words")
def max_words(ctx: GradeContext, *, limit: int = 50) -> Verdict:
    words = len(ctx.text.split())
    return Verdict.check(words <= limit, f"{words} words; limit {limit}")
"""


@pytest.fixture(autouse=True)
def _own_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("evals", "evalh_plugin_", "shop_")):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(path: str, text: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text), encoding="utf-8")
        return file

    return write


def judge(kinds: object, kind: str, text: str = "", **params: object) -> Verdict:
    spec = GraderSpec(kind=kind, name=kind, params=params, where="evals/triage.yaml:3")
    verdict = build(spec, grading_environment(kinds=kinds)).judge(
        GradeContext(case=Case("c", {}), completion=Completion(text=text))
    )

    async def awaited() -> Verdict:
        return await verdict

    return verdict if isinstance(verdict, Verdict) else asyncio.run(awaited())


def test_a_grader_of_a_workspace_file_is_used_by_its_name(tmp_path, write) -> None:
    write("evals/graders.py", MAX_WORDS)

    kinds = load_plugins(tmp_path, ["evals/graders.py"])

    assert judge(kinds, "max_words", "one two", limit=1).reason == "2 words; limit 1"


def test_a_grader_of_a_file_is_unknown_where_the_file_is_not_named(tmp_path, write) -> None:
    write("evals/graders.py", MAX_WORDS)
    load_plugins(tmp_path, ["evals/graders.py"])

    with pytest.raises(WorkspaceError, match="no grader 'max_words'"):
        judge(load_plugins(tmp_path, []), "max_words")


def test_two_workspaces_in_one_process_do_not_meet(tmp_path, write) -> None:
    write("one/graders.py", MAX_WORDS)
    write("two/graders.py", MAX_WORDS.replace("words; limit", "WORDS; LIMIT"))

    one = load_plugins(tmp_path / "one", ["graders.py"])
    two = load_plugins(tmp_path / "two", ["graders.py"])

    assert judge(one, "max_words").reason == "0 words; limit 50"
    assert judge(two, "max_words").reason == "0 WORDS; LIMIT 50"


def test_a_file_is_executed_once_and_anew_when_it_was_edited(tmp_path, write) -> None:
    noting = "from pathlib import Path\nwith (Path(__file__).parent / 'log').open('a') as log: log.write('x')\n"
    write("graders.py", noting + MAX_WORDS)
    for _ in range(3):
        kinds = load_plugins(tmp_path, ["graders.py"])
    function_loader(tmp_path)("graders.py:max_words")
    assert (tmp_path / "log").read_text() == "x"

    write("graders.py", noting + MAX_WORDS.replace("50", "60"))
    edited = load_plugins(tmp_path, ["graders.py"])

    assert (tmp_path / "log").read_text() == "xx"
    assert judge(kinds, "max_words").reason == "0 words; limit 50"
    assert judge(edited, "max_words").reason == "0 words; limit 60"


def test_no_compiled_file_is_left_in_the_workspace(tmp_path, write) -> None:
    write("evals/graders.py", MAX_WORDS)

    load_plugins(tmp_path, ["evals/graders.py"])

    assert [file.name for file in (tmp_path / "evals").iterdir()] == ["graders.py"]


def test_a_file_may_import_its_neighbours_and_shadows_nothing(tmp_path, write, monkeypatch) -> None:
    write("evals/shared.py", "LIMIT = 7")
    write("colorsys.py", "raise RuntimeError('this is not the standard library')")
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    write("evals/graders.py", "import colorsys\nfrom evals.shared import LIMIT\n" + MAX_WORDS.replace("50", "LIMIT"))

    assert judge(load_plugins(tmp_path, ["evals/graders.py"]), "max_words").reason == "0 words; limit 7"


def test_dataclasses_and_late_types_find_their_module(tmp_path, write) -> None:
    write(
        "graders.py",
        """
        from __future__ import annotations
        from dataclasses import dataclass
        from evalh import Verdict, grader

        @dataclass
        class Limit:
            words: int | None = None

        @grader("late")
        def late(ctx, *, limit: int = 3) -> Verdict:
            return Verdict.check(True, repr(Limit(limit)))
        """,
    )

    assert judge(load_plugins(tmp_path, ["graders.py"]), "late").reason == "Limit(words=3)"


@pytest.mark.parametrize(
    ("source", "what", "line", "hint"),
    [
        ("x = 1\ndef broken(:\n", "SyntaxError: invalid syntax", 2, None),
        ("x = 1\n\n1 / 0\n", "ZeroDivisionError: division by zero", 3, None),
        ("import sys\nsys.exit('bye')\n", "SystemExit: bye", 2, None),
        ("import shop_missing\n", "ModuleNotFoundError: No module named 'shop_missing'", 1, "shop_missing"),
        ("raise AssertionError\n", "AssertionError", 1, None),
        (
            "from evalh import grader\n\n@grader('equals')\ndef f(ctx): ...\n",
            "'equals' is a built-in grader",
            3,
            "choose another name",
        ),
        (
            "from evalh import grader\n@grader('mine')\ndef f(ctx, limit): ...\n",
            "grader 'mine': parameter 'limit' must be keyword-only",
            2,
            "put a bare *",
        ),
    ],
)
def test_what_goes_wrong_in_a_file_is_told_with_the_users_line(tmp_path, write, source, what, line, hint) -> None:
    write("evals/graders.py", source)
    before = set(sys.modules)

    with pytest.raises(WorkspaceError) as caught:
        load_plugins(tmp_path, ["evals/graders.py"])

    assert caught.value.what == what
    assert caught.value.where == f"evals/graders.py:{line}"
    assert (caught.value.hint is None) if hint is None else hint in caught.value.hint
    assert not [name for name in set(sys.modules) - before if name.startswith("evalh_plugin_")]


def test_what_goes_wrong_in_a_neighbour_is_told_with_its_line(tmp_path, write) -> None:
    write("evals/shared.py", "\n\nint('x')\n")
    write("evals/graders.py", "import evals.shared\n")

    with pytest.raises(WorkspaceError, match="ValueError: invalid literal") as caught:
        load_plugins(tmp_path, ["evals/graders.py"])

    assert caught.value.where == "evals/shared.py:3"


def test_a_broken_edit_leaves_what_was_loaded_before(tmp_path, write) -> None:
    write("graders.py", MAX_WORDS)
    kinds = load_plugins(tmp_path, ["graders.py"])
    write("graders.py", "1 / 0\n")

    with pytest.raises(WorkspaceError):
        load_plugins(tmp_path, ["graders.py"])

    assert judge(kinds, "max_words").outcome == "pass"
    assert [name for name in sys.modules if name.startswith("evalh_plugin_graders_")]


@pytest.mark.parametrize(
    ("path", "what", "hint"),
    [
        ("evals/grader.py", "'evals/grader.py' cannot be read: No such file", "have: evals/graders.py"),
        ("nowhere/x.py", "'nowhere/x.py' cannot be read: No such file", None),
        ("evals", "'evals' is not a Python file", "plugins are files: evals/graders.py"),
        ("my.package", "'my.package' is not a Python file", "plugins are files: evals/graders.py"),
    ],
)
def test_a_path_that_leads_nowhere_is_evalh_tomls_error(tmp_path, write, path, what, hint) -> None:
    write("evals/graders.py", MAX_WORDS)

    with pytest.raises(WorkspaceError) as caught:
        load_plugins(tmp_path, [path])

    assert caught.value.what.startswith(what)
    assert (caught.value.where, caught.value.hint) == ("evalh.toml", hint)


def test_two_files_cannot_register_one_name(tmp_path, write) -> None:
    write("one.py", MAX_WORDS)
    write("two.py", MAX_WORDS)

    with pytest.raises(WorkspaceError, match=r"grader 'max_words' exists already, at one\.py:4") as caught:
        load_plugins(tmp_path, ["one.py", "two.py"])

    assert caught.value.where == "two.py:4"


def test_an_unknown_grader_may_have_been_a_plugins(tmp_path, write) -> None:
    write("graders.py", MAX_WORDS)

    with pytest.raises(WorkspaceError) as caught:
        judge(load_plugins(tmp_path, ["graders.py"]), "max_word")

    assert caught.value.hint == "did you mean 'max_words'?"


# -- functions by path


def test_a_function_is_found_in_a_workspace_file(tmp_path, write) -> None:
    write("evals/checks.py", "def check(ctx): return True\n\nclass Group:\n    def inner(ctx): return False\n")
    load = function_loader(tmp_path)

    assert load("evals/checks.py:check")(None) is True
    assert load("evals/checks.py:Group.inner")(None) is False


def test_a_function_is_found_in_a_package_beside_the_workspace(tmp_path, write) -> None:
    write("shop_checks/__init__.py", "")
    write("shop_checks/labels.py", "def check(ctx): return 'found'\n")

    assert function_loader(tmp_path)("shop_checks.labels:check")(None) == "found"
    assert function_loader(tmp_path)("json:loads")("1") == 1


@pytest.mark.parametrize(
    ("path", "what", "where"),
    [
        ("check", "'check' does not name a function", None),
        ("evals/checks.py:", "'evals/checks.py:' does not name a function", None),
        (":check", "':check' does not name a function", None),
        ("evals/checks.py:chek", "evals/checks.py has no function 'chek'", None),
        ("evals/checks.py:LIMIT", "evals/checks.py has no function 'LIMIT'", None),
        ("evals/none.py:check", "'evals/none.py' cannot be read: No such file or directory", None),
        ("evals/bad.py:check", "ZeroDivisionError: division by zero", "evals/bad.py:1"),
        ("shop_none.mod:check", "ModuleNotFoundError: No module named 'shop_none'", None),
        ("shop_bad:check", "ZeroDivisionError: division by zero", "shop_bad.py:2"),
        ("json:lods", "json has no function 'lods'", None),
    ],
)
def test_a_function_that_cannot_be_found_is_told_with_its_place(tmp_path, write, path, what, where) -> None:
    write("evals/checks.py", "LIMIT = 3\ndef check(ctx): return True\n")
    write("evals/bad.py", "1 / 0\n")
    write("shop_bad.py", "\n1 / 0\n")

    with pytest.raises(WorkspaceError) as caught:
        function_loader(tmp_path)(path)

    assert (caught.value.what, caught.value.where) == (what, where)


def test_a_suite_that_names_a_missing_function_is_told_its_own_line(tmp_path, write) -> None:
    write("checks.py", "def check(ctx): return 1 / 0\n")
    spec = GraderSpec(kind="python", name="python", params={"function": "checks.py:chek"}, where="evals/triage.yaml:9")

    with pytest.raises(WorkspaceError, match="no function 'chek'") as caught:
        build(spec, grading_environment(load_function=function_loader(tmp_path)))

    assert caught.value.where == "evals/triage.yaml:9"


def test_the_nearest_function_is_named(tmp_path, write) -> None:
    write("checks.py", "def check(ctx): ...\ndef other(ctx): ...\n")

    with pytest.raises(WorkspaceError) as caught:
        function_loader(tmp_path)("checks.py:chek")

    assert caught.value.hint == "did you mean 'check'?"


# -- installed packages


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Install a package of one module: its code and its entry points."""

    def install(code: str, entry_points: str) -> None:
        site = tmp_path / "site"
        info = site / "shop_pack-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "shop_pack.py").write_text(dedent(code), encoding="utf-8")
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-pack\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(dedent(entry_points), encoding="utf-8")
        monkeypatch.syspath_prepend(str(site))

    return install


def test_a_grader_of_an_installed_package_is_loaded_when_it_is_named(tmp_path, package) -> None:
    package(MAX_WORDS.replace("max_words", "shop_words"), "[evalh.graders]\nshop_words = shop_pack:shop_words\n")

    kinds = load_plugins(tmp_path, [])
    assert "shop_pack" not in sys.modules

    assert judge(kinds, "shop_words").reason == "0 words; limit 50"
    with pytest.raises(WorkspaceError) as caught:
        judge(kinds, "shop_word")
    assert caught.value.hint == "did you mean 'shop_words'?"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def shop_other(): ...\n", "entry point 'shop_pack:shop_other' of shop-pack registers no grader 'shop_other'"),
        ("1 / 0\n", "entry point 'shop_pack:shop_other' of shop-pack cannot be loaded: ZeroDivisionError"),
        ("", "entry point 'shop_pack:shop_other' of shop-pack cannot be loaded: AttributeError"),
    ],
)
def test_a_package_that_does_not_keep_its_word_is_named(tmp_path, package, code, message) -> None:
    package(code, "[evalh.graders]\nshop_other = shop_pack:shop_other\n")

    with pytest.raises(WorkspaceError) as caught:
        judge(load_plugins(tmp_path, []), "shop_other")

    assert caught.value.what.startswith(message)


def test_a_provider_of_an_installed_package_is_loaded_when_it_is_named(package) -> None:
    package("loaded = True\n", "[evalh.providers]\nshop = shop_pack\n")

    assert not load_provider("other")
    assert "shop_pack" not in sys.modules
    assert load_provider("shop")
    assert "shop_pack" in sys.modules


def test_a_plain_run_looks_for_no_packages(tmp_path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from evalh.core.suite import GraderSpec\n"
        "from evalh.graders.kinds import GraderEnvironment\n"
        "from evalh.graders.registry import build\n"
        "from evalh.plugins import load_plugins\n"
        f"kinds = load_plugins(Path({str(tmp_path)!r}), [])\n"
        "build(GraderSpec(kind='equals', name='equals'), GraderEnvironment(load_function=None, models=None, texts=None, kinds=kinds))\n"
        "print([name for name in ('jsonschema_rs', 're2', 'numpy') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
