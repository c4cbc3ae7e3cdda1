"""Users' code that raises, hangs, ends the process or answers nonsense: never a pass, never a traceback."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from command_line import CommandLine
from faults.test_bad_input import change, content, grader, model
from hanging import comes_back
from loopback import Handler, http_server
from workspaces import write_workspace

HEAD = "import time\nfrom evalh import Verdict, grader\n\n\nclass Odd(BaseException):\n    pass\n\n\n"


def with_plugin(folder: Path, code: str) -> Path:
    write_workspace(folder, cases=2)
    content("evals/g.py", code)(folder)
    change("evalh.toml", "[workspace]", '[workspace]\nplugins = ["evals/g.py"]')(folder)
    grader("mine")(folder)
    return folder


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("1 / 0", "evals/g.py:1: ZeroDivisionError"),
        ("\nimport sys; sys.exit(0)", "evals/g.py:2: SystemExit: 0"),
        ("def (", "evals/g.py:1: SyntaxError"),
        ("import nopkg", "evals/g.py:1: ModuleNotFoundError"),
        (HEAD + "raise Odd('x')", "evals/g.py:9: Odd: x"),
        ("x = 1", "evals/triage.yaml:6: no grader 'mine'"),
    ],
)
def test_a_plugin_that_does_not_load_is_named_with_its_line(
    tmp_path: Path, evalh: CommandLine, code: str, what: str
) -> None:
    done = evalh(with_plugin(tmp_path, code), "run")

    assert done.code == 2
    assert done.err.startswith(f"error: {what}")
    assert evalh(tmp_path, "check").code == 2


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('no')", "ValueError: no"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise Odd('x')", "Odd: x"),
        ("return None", "returned NoneType, not a Verdict"),
        ("return Verdict", "not a Verdict"),
    ],
)
def test_a_grader_that_breaks_leaves_samples_ungraded(
    tmp_path: Path, evalh: CommandLine, code: str, reason: str
) -> None:
    done = evalh(with_plugin(tmp_path, f'{HEAD}@grader("mine")\ndef mine(ctx):\n    {code}\n'), "run", "--json")

    run = done.document["results"][0]
    assert done.code == 4
    assert (run["samples"], run["good"], run["bad"], run["ungraded"]) == (2, 0, 0, 2)
    assert reason in evalh(tmp_path, "show", "t-0001").out


def test_a_plugin_that_hangs_while_it_loads_is_ended_by_ctrl_c(tmp_path: Path, evalh: CommandLine) -> None:
    with comes_back():
        done = evalh.run(
            ["-C", str(with_plugin(tmp_path, "import time\ntime.sleep(60)")), "check"], interrupt_after=0.5
        )

    assert done.code == 130
    assert done.err == "error: interrupted\n  paid answers are saved\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('no')", "the script raised ValueError: no"),
        ("raise SystemExit(0)", "the script raised SystemExit: 0"),
        ("raise Odd('x')", "the script raised Odd: x"),
        ("return None", "the script answered nothing"),
        ("return {1, 2}", "the script answered set"),
    ],
)
def test_a_script_that_breaks_gives_no_answer_and_no_exit_code_of_its_own(
    tmp_path: Path, evalh: CommandLine, code: str, reason: str
) -> None:
    folder = write_workspace(tmp_path, cases=2)
    content("evals/answers.py", f"class Odd(BaseException):\n    pass\n\n\ndef answer():\n    {code}\n")(folder)

    done = evalh(folder, "run", "--json")

    assert done.code == 4
    assert done.document["results"][0]["errors"] == {"bad_response": 2}
    assert reason in evalh(tmp_path, "show", "t-0001").out


def test_a_pattern_that_freezes_other_engines_answers_at_once(tmp_path: Path, evalh: CommandLine) -> None:
    folder = write_workspace(tmp_path, cases=2)
    content("evals/answers.py", 'def answer():\n    return "a" * 100_000 + "!"\n')(folder)
    grader('regex: {pattern: "(a+)+$"}')(folder)

    with comes_back():
        done = evalh(folder, "run", "--json")

    assert done.document["results"][0]["bad"] == 2


RECORDED = 'provider = "replay"\npath = "recorded/{version}.jsonl"\n'


@pytest.mark.parametrize(
    ("rows", "what", "hint"),
    [
        (
            None,
            "evalh.toml:3: model 'small': no recording recorded/v1.jsonl",
            "export recorded RUN -o recorded/v1.jsonl",
        ),
        ("", "recorded/v1.jsonl: the recording is empty", '"output"'),
        ('{"id": "t-0001"}\n', "recorded/v1.jsonl:1: not a row of a recording", None),
        ('{"id": "t-0001", "output": ""}\n{"id"\n', "recorded/v1.jsonl:2: not a row of a recording", None),
        ('{"id": "a", "output": ""}\n' * 2, "recorded/v1.jsonl:2: case 'a' is recorded twice", "remove one"),
        ("\0\1", "recorded/v1.jsonl:1: not a row of a recording", None),
    ],
)
def test_a_recording_that_cannot_be_used_is_named_with_its_line(
    tmp_path: Path, evalh: CommandLine, rows: str | None, what: str, hint: str | None
) -> None:
    folder = write_workspace(tmp_path, cases=2)
    model(RECORDED)(folder)
    if rows is not None:
        content("recorded/v1.jsonl", rows)(folder)

    done = evalh(folder, "run")

    assert done.code == 2
    assert done.err.startswith(f"error: {what}")
    assert hint is None or hint in done.err


def test_a_case_without_a_recorded_answer_is_ungraded_and_exit_4(tmp_path: Path, evalh: CommandLine) -> None:
    folder = write_workspace(tmp_path, cases=2)
    model(RECORDED)(folder)
    content("recorded/v1.jsonl", '{"id": "t-0001", "output": "{\\"label\\": \\"billing\\"}"}\n')(folder)

    done = evalh(folder, "run", "--json")

    run = done.document["results"][0]
    assert (done.code, run["samples"], run["good"], run["ungraded"]) == (4, 2, 1, 1)


HOSTED = 'provider = "openai"\nmodel = "m"\napi_key_env = "K"\nbase_url = "http://127.0.0.1:9/v1"\n'


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ({}, "model 'small' needs a key, and K is not set"),
        ({"K": ""}, "model 'small' needs a key, and K is not set"),
        ({"K": "sk-hidden\nX: y"}, "K has a line break within the key"),
        ({"K": "sk-hidden\u00e4"}, "K has a character that is not allowed in a header"),
    ],
)
def test_a_key_that_cannot_be_sent_stops_the_run_before_it_begins_unshown(
    tmp_path: Path, evalh: CommandLine, key: dict[str, str], what: str
) -> None:
    folder = write_workspace(tmp_path, cases=2)
    model(HOSTED)(folder)

    done = evalh(folder, "run", env={"PATH": "/usr/bin:/bin", **key})

    assert done.code == 2
    assert done.err.startswith("error: evalh.toml:3: ")
    assert what in done.err
    assert "hidden" not in done.err


def test_an_endpoint_that_sends_us_elsewhere_is_not_followed_and_gets_no_key_there(
    tmp_path: Path, evalh: CommandLine
) -> None:
    with _redirecting() as (port, asked):
        folder = write_workspace(tmp_path, cases=2)
        model(HOSTED.replace(":9/", f":{port}/"))(folder)

        done = evalh(folder, "run", "--json", env={**os.environ, "K": "sk-hidden"})

    run = done.document["results"][0]
    assert (done.code, run["ungraded"]) == (4, 2)
    assert set(asked) == {"/v1/chat/completions"}
    assert "sk-hidden" not in done.out + done.err


@contextmanager
def _redirecting() -> Iterator[tuple[int, list[str]]]:
    """Serve on loopback; send every request to another path of the same server."""
    asked: list[str] = []

    class Elsewhere(Handler):
        def answer(self) -> None:
            asked.append(self.path)
            self.body()
            self.reply(307, b"", {"Location": f"http://localhost:{self.server.server_address[1]}/elsewhere"})

    with http_server(Elsewhere) as port:
        yield port, asked
