"""`provider = "command"`: real programs, good and hostile; what they are handed, and that nothing of them is left."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from applications.applying import application, ask, failing, opened
from evalh.core.attempt import ErrorKind, Usage
from evalh.core.errors import KeyMissing, WorkspaceError
from workspaces import evalh, write_workspace

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups")
KEY = "sk-live-4f9c2a7e8b1d"


def running(program: str, **options: Any) -> Any:
    """Open an application that is a Python program."""
    return opened("command", **{"command": [sys.executable, "-c", program], "timeout_s": 60.0, **options})


@contextmanager
def pipe(folder: Path) -> Iterator[Path]:
    """A named pipe, whose other end shows who is still alive."""
    path = folder / "alive"
    os.mkfifo(path)
    yield path


async def ended(path: Path) -> None:
    """Return when everybody who held the pipe open for writing is gone; that fails after a minute."""
    async with asyncio.timeout(60):
        await asyncio.to_thread(path.read_bytes)


# -- what it is handed, and what is read


async def test_it_reads_the_request_on_stdin_and_prints_its_answer() -> None:
    program = """
import json, os, sys
asked = json.load(sys.stdin)
print(json.dumps({"result": asked, "trace": os.environ["TRACEPARENT"], "n": {"in": 3, "out": 1}, "usd": 0.25}))
"""
    usage = {"input_tokens": "n.in", "output_tokens": "n.out"}
    async with running(program, output="result", usage=usage, cost_from="usd") as it:
        answer = await ask(it, 'a "b" $(id) `id` {{x}} \n --help', inputs={"x": "\u0000\u2028"}, trial=2)

    assert json.loads(answer.text) == {
        "messages": [{"role": "user", "content": 'a "b" $(id) `id` {{x}} \n --help'}],
        "inputs": {"x": "\u0000\u2028"},
        "params": {"temperature": 0},
        "case_id": "t-1",
        "trial": 2,
    }
    assert (answer.usage, str(answer.cost_usd)) == (Usage(3, 1), "0.25")
    assert json.loads(answer.raw or "")["trace"].split("-")[1] == answer.request_id


async def test_a_prompt_alone_comes_as_text_and_line_ends_after_the_answer_go() -> None:
    async with running("import sys; print(sys.stdin.read()[::-1], end='\\r\\n\\n')", stdin="prompt") as it:
        assert (await ask(it, "abc")).text == "cba"


async def test_it_sees_the_variables_that_are_named_and_no_others() -> None:
    env = {"PATH": os.environ["PATH"], "AGENT_KEY": KEY, "OPENAI_API_KEY": "sk-other", "LEVEL": "debug"}
    program = "import json, os; print(json.dumps(dict(os.environ)))"
    async with running(program, env=env, env_allow=["AGENT_KEY", "LEVEL"]) as it:
        answer = await ask(it)

    told = json.loads(answer.text)
    told.pop("LC_CTYPE", None)  # the interpreter's own
    assert sorted(told) == ["AGENT_KEY", "LEVEL", "PATH", "TRACEPARENT"]
    assert (told["AGENT_KEY"], told["LEVEL"]) == ("[key]", "debug")  # masked in what is kept
    assert KEY not in repr(answer)


async def test_a_variable_that_is_not_set_is_named_before_anything_starts() -> None:
    it = application("command", {"command": ["true"], "env_allow": ["AGENT_KEY"]})

    with pytest.raises(KeyMissing, match="AGENT_KEY"):
        await it.open()


async def test_each_call_works_in_a_fresh_copy_of_the_folder_that_is_removed(tmp_path: Path) -> None:
    repository = tmp_path / "fixtures/repo"
    repository.mkdir(parents=True)
    (repository / "notes.txt").write_text("old")
    (tmp_path / "agent.py").write_text(
        "import os, pathlib\n"
        "note = pathlib.Path('notes.txt')\n"
        "print(note.read_text(), os.getcwd())\n"
        "note.write_text('new')\n"
    )
    command = [sys.executable, "./agent.py"]
    async with opened("command", root=tmp_path, command=command, workdir="fixtures/repo", timeout_s=60.0) as it:
        first, second = (await ask(it)).text.split(), (await ask(it)).text.split()

    assert (first[0], second[0]) == ("old", "old")
    assert first[1] != second[1]
    assert not Path(first[1]).parent.exists()
    assert (repository / "notes.txt").read_text() == "old"


# -- what goes wrong


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit(3)", "ended with exit code 3: it said nothing"),
        ("raise ValueError('no \\x1b[31mindex')", "ValueError: no [31mindex"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL"),
        ("print('hello')", "the answer is not JSON"),
        ("", "an empty body"),
        ("open('/dev/tty')", "OSError"),
        ("import sys; sys.stderr.write('x' * 10_000_000 + 'end'); sys.exit(1)", "xend"),
    ],
)
async def test_a_program_that_fails_is_a_bad_response_with_its_last_words(program: str, words: str) -> None:
    async with running(program, output="result") as it:
        error = await failing(it)

    assert error.kind is ErrorKind.BAD_RESPONSE
    assert words in error.message
    assert error.message.isprintable()
    assert len(error.message) <= 500


async def test_a_key_in_its_last_words_is_masked_even_where_they_are_cut() -> None:
    program = f"import sys; sys.stderr.write({KEY!r} * 500 + 'z' * 1900); sys.exit(1)"
    async with running(program, env={"MY_TOKEN": KEY}, env_allow=["MY_TOKEN"]) as it:
        error = await failing(it)
    async with running(program.replace("1900", "300"), env={"MY_TOKEN": KEY}, env_allow=["MY_TOKEN"]) as it:
        close = await failing(it)

    assert "live" not in error.message
    assert "[key]zzz" in close.message
    assert "live" not in close.message


async def test_a_program_that_reads_nothing_and_one_that_reads_slowly_get_their_answer() -> None:
    async with running("print('done')") as deaf, running("import sys; print(len(sys.stdin.read()))") as slow:
        text = "x" * 5_000_000

        assert (await ask(deaf, text)).text == "done"
        assert int((await ask(slow, text)).text) > 5_000_000


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_program_may_end_before_it_was_told_anything(loop: str) -> None:
    factory = pytest.importorskip(loop).new_event_loop

    async def asked() -> list[str]:
        async with opened("command", command=["true"], timeout_s=60.0) as it:
            return [(await ask(it, "x" * 3_000_000)).text for _ in range(10)]

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(asked()) == [""] * 10


async def test_a_gigabyte_is_not_read() -> None:
    program = "import sys\nfor _ in range(1024): sys.stdout.buffer.write(b'x' * 2**20)"
    async with running(program) as it:
        error = await failing(it)

    assert (error.kind, "more than 16 MiB" in error.message) == (ErrorKind.BAD_RESPONSE, True)


async def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    with pipe(tmp_path) as alive:
        program = f"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
held = open({str(alive)!r}, "wb")
os.fork()
time.sleep(3600)
"""
        async with running(program, timeout_s=2.0) as it:
            gone = asyncio.ensure_future(ended(alive))
            error = await failing(it)
            await gone

    assert error.kind is ErrorKind.TIMEOUT
    assert "was killed" in error.message


async def test_what_a_program_leaves_behind_is_killed_and_its_answer_counts(tmp_path: Path) -> None:
    with pipe(tmp_path) as alive:
        program = f"""
import os, time
held = open({str(alive)!r}, "wb")
if os.fork() == 0:
    time.sleep(3600)
print("done", flush=True)
os._exit(0)
"""
        async with running(program) as it:
            gone = asyncio.ensure_future(ended(alive))
            answer = await ask(it)
            await gone

    assert answer.text == "done"


async def test_what_leaves_the_group_and_holds_the_output_does_not_hang_the_run(tmp_path: Path) -> None:
    number = tmp_path / "pid"
    program = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    open({str(number)!r}, "w").write(str(os.getpid()))
    time.sleep(3600)
while not os.path.exists({str(number)!r}) or not open({str(number)!r}).read():
    time.sleep(0.01)
print("done", flush=True)
os._exit(0)
"""
    async with running(program, timeout_s=20.0) as it:
        error = await failing(it)
        os.kill(int(number.read_text()), signal.SIGKILL)

    assert "keeps its output open" in error.message


async def test_a_call_that_is_cancelled_kills_its_program(tmp_path: Path) -> None:
    with pipe(tmp_path) as alive:
        program = f"held = open({str(alive)!r}, 'wb'); import time; time.sleep(3600)"
        async with running(program) as it:
            call = asyncio.ensure_future(ask(it))
            reader = await asyncio.to_thread(lambda: open(alive, "rb"))  # noqa: SIM115  # it is running
            call.cancel()
            await asyncio.wait([call])
            async with asyncio.timeout(60):
                await asyncio.to_thread(reader.read)
            reader.close()

    assert call.cancelled()


async def test_a_program_that_is_not_there_is_named() -> None:
    async with opened("command", command=["no-such-program-here"]) as it:
        error = await failing(it)

    assert (error.kind, error.maybe_billed) == (ErrorKind.BAD_REQUEST, False)
    assert "'no-such-program-here' cannot be started" in error.message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "'command' is missing"),
        ({"command": "node agent.mjs"}, "a list: the program and its arguments"),
        ({"command": []}, "a list: the program and its arguments"),
        ({"command": [" "]}, "the name of a program"),
        ({"command": ["llm", "{{prompt}}"]}, "could become an option"),
        ({"command": ["a"], "stdin": "none"}, "'stdin' must be"),
        ({"command": ["a"], "workdir": "../up"}, "is not inside the workspace"),
        ({"command": ["a"], "workdir": "missing"}, "no folder 'missing'"),
        ({"command": ["a"], "files": ["/etc/*"]}, "is not inside the workspace"),
        ({"command": ["a"], "files": ["*.nothing"], "revision": "1"}, "no file '*.nothing'"),
        ({"command": ["a"], "env_allow": ["sk-123"]}, "env_allow"),
        ({"command": ["a"], "slots": 0}, "'slots'"),
    ],
)
def test_a_wrong_entry_is_refused_at_its_line(options: dict[str, Any], words: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        application("command", options)

    assert words in f"{caught.value.what} {caught.value.hint}"
    assert caught.value.where == "evalh.toml:3"


def test_a_program_is_run_by_the_command_line_and_an_edited_file_is_asked_again(tmp_path: Path) -> None:
    model = """provider = "command"
command = ["python3", "./agent.py"]
output = "result"
workdir = "fixture"
revision = "1"
files = ["agent.py"]
"""
    agent = """import json, sys
asked = json.load(sys.stdin)
print(json.dumps({"result": {"label": open("label.txt").read() if asked["inputs"]["ticket"] else ""}}))
"""
    write_workspace(tmp_path, cases=3, model=model)
    (tmp_path / "agent.py").write_text(agent)
    (tmp_path / "fixture").mkdir()
    (tmp_path / "fixture/label.txt").write_text("billing")

    def run() -> tuple[int, int]:
        done = evalh(tmp_path, "run", "triage", "--json")
        (told,) = json.loads(done.stdout)["results"]
        return told["good"], told["from_log"] if "from_log" in told else told["cache_hits"]

    first, again = run(), run()
    (tmp_path / "agent.py").write_text(agent + "# edited\n")
    edited = run()
    (tmp_path / "fixture/label.txt").write_text("bug")
    worked_on = run()

    assert (first, again, edited, worked_on) == ((3, 0), (3, 3), (3, 0), (0, 0))
