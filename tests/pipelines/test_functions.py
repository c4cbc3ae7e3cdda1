"""Functions as steps: called by name, seen when they ask, kept where they say so, never twice where they have effects."""

import os
import time
from pathlib import Path

import pytest

from pipelines.test_runs import run, steps_of
from stepping import PIPELINE, REPLY, step_server, write_pipeline
from workspaces import document, evalh

COUNTED = """from pathlib import Path


def find(order_id):
    with Path(r"{log}").open("a") as file:
        file.write(f"{{order_id}}\\n")
    return {{"id": order_id, "state": "late"}}
"""


def calls(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()] if log.exists() else []


@pytest.mark.parametrize(("option", "times"), [("", 2), ("    keep: true\n", 1)])
def test_a_function_runs_again_unless_its_results_are_kept(tmp_path: Path, option: str, times: int) -> None:
    log = tmp_path / "calls"
    pipeline = PIPELINE.replace("orders.py:find\n", f"orders.py:find\n{option}")
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path / "w", port, cases=3, pipeline=pipeline)
        (folder / "steps/orders.py").write_text(COUNTED.format(log=log))
        first, second = run(folder), run(folder)
    assert sorted(calls(log)) == sorted([1, 2, 3] * times)
    assert (first["good"], second["good"]) == (3, 3)


def test_what_is_kept_is_asked_again_under_another_revision_file_or_input(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    pipeline = PIPELINE.replace("orders.py:find\n", "orders.py:find\n    keep: true\n    revision: '1'\n")
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path / "w", port, cases=1, pipeline=pipeline)
        (folder / "steps/orders.py").write_text(COUNTED.format(log=log))
        draft = folder / "prompts/refund/draft.pipeline.yaml"
        for text, times in ((pipeline, 1), (pipeline.replace("'1'", "'2'"), 2), (pipeline, 2)):
            draft.write_text(text)
            run(folder)
            assert len(calls(log)) == times
        (folder / "steps/orders.py").write_text(COUNTED.format(log=log) + "\n# another file\n")
        run(folder)
    assert len(calls(log)) == 3


def test_a_function_with_effects_is_called_only_where_it_is_allowed_and_never_twice(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    pipeline = PIPELINE.replace("orders.py:find\n", "orders.py:find\n    effects: true\n")
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path / "w", port, cases=2, pipeline=pipeline)
        (folder / "steps/orders.py").write_text(COUNTED.format(log=log))
        refused = evalh(folder, "run")
        assert (refused.returncode, calls(log)) == (2, [])
        assert "draft.pipeline.yaml:4" in refused.stderr
        assert "--allow-effects" in refused.stderr
        for _ in range(2):
            assert run(folder, "--allow-effects", "--fresh")["good"] == 2
    assert sorted(calls(log)) == [1, 2]


def test_a_function_with_effects_that_failed_is_not_tried_again(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    pipeline = PIPELINE.replace("orders.py:find\n", "orders.py:find\n    effects: true\n")
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path / "w", port, cases=1, pipeline=pipeline)
        failing = COUNTED.format(log=log).replace("    return", "    raise OSError('down')\n    return")
        (folder / "steps/orders.py").write_text(failing)
        for _ in range(2):
            assert document(evalh(folder, "run", "--json", "--allow-effects"))["results"][0]["ungraded"] == 1
    assert calls(log) == [1]
    assert "not called again" in steps_of(folder, "r-0001")["order"]["reason"]


ASKING = """async def find(order_id, ctx):
    said = [await ctx.ask("reply", {"email": f"order {order_id}", "order": {"id": n, "state": "asked"}}) for n in (1, 2)]
    return {"id": order_id, "state": " and ".join(said), "seed": ctx.seed}
"""


def test_what_a_function_asks_is_a_call_that_is_logged_priced_and_reused(tmp_path: Path) -> None:
    with step_server() as (server, port):
        folder = write_pipeline(tmp_path, port, cases=2)
        (folder / "steps/orders.py").write_text(ASKING)
        first = run(folder)
        asked = len(server.asked)
        second = run(folder)
        assert len(server.asked) == asked == 2 * (1 + 2 + 1)
        prompt = folder / "prompts/reply/v2.prompt"
        prompt.write_text(REPLY.replace("Answer the mail", "Answer"))
        third = run(folder)
    assert first["cost_usd"] == pytest.approx(second["cached_cost_usd"])
    assert first["fingerprint"]["prompt"] != third["fingerprint"]["prompt"]
    counted = evalh(folder, "sql", "select step, count(*) from attempts group by step", "--json").stdout
    assert "order/reply" in counted


def test_an_unknown_prompt_of_a_function_is_reported_at_its_line(tmp_path: Path) -> None:
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path, port, cases=1)
        (folder / "steps/orders.py").write_text(ASKING.replace('"reply"', '"repyl"'))
        done = evalh(folder, "run")
    assert done.returncode == 2
    assert "steps/orders.py:2" in done.stderr
    assert "reply" in done.stderr


def test_the_inputs_of_a_step_must_match_its_functions_parameters(tmp_path: Path) -> None:
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path, port, cases=1)
        (folder / "steps/orders.py").write_text("def find(order, limit):\n    return {}\n")
        done = evalh(folder, "run")
    assert done.returncode == 2
    assert "has no parameter 'order_id'" in done.stderr


def test_a_secret_that_a_function_gets_is_not_stored(tmp_path: Path) -> None:
    pipeline = PIPELINE.replace("orders.py:find\n", "orders.py:find\n    env: [ORDER_KEY]\n")
    with step_server() as (server, port):
        folder = write_pipeline(tmp_path, port, cases=1, pipeline=pipeline)
        (folder / "steps/orders.py").write_text(
            "def find(order_id, ctx):\n    return {'id': order_id, 'state': ctx.env['ORDER_KEY']}\n"
        )
        done = evalh(folder, "run", env={**os.environ, "ORDER_KEY": "s3cret-s3cret"})
        assert done.returncode == 0, done.stderr
    assert not any(b"s3cret" in body for body in server.bodies)
    assert all(b"s3cret" not in file.read_bytes() for file in (folder / ".evalh").glob("evalh.db*"))


SECRET = 's3cret-s3cret"with a quote\nand a line'
HANDED_ON = {
    "text": "return {'id': order_id, 'state': KEY}",
    "part of a text": "return {'id': order_id, 'state': 'a' + KEY + 'b'}",
    "key": "return {'id': order_id, 'state': 'late', KEY: 1}",
    "deep": "return {'id': order_id, 'state': [[{'a': {KEY: [KEY]}}]]}",
    "raised": "raise ValueError(KEY)",
    "not JSON": "return {'id': order_id, KEY: object()}",
    "a long one within a longer": "return {'id': order_id, 'state': KEY + ctx.env['LONGER_KEY']}",
    "asked": "return {'id': order_id, 'state': await ctx.ask('extract', {'email': 'order 1 ' + KEY})}",
}


@pytest.mark.parametrize("body", HANDED_ON.values(), ids=HANDED_ON)
def test_a_secret_of_any_characters_is_hidden_wherever_a_function_puts_it(tmp_path: Path, body: str) -> None:
    pipeline = PIPELINE.replace("orders.py:find\n", "orders.py:find\n    env: [ORDER_KEY, LONGER_KEY]\n")
    env = {**os.environ, "ORDER_KEY": SECRET, "LONGER_KEY": f"{SECRET} and s3cret"}
    with step_server() as (server, port):
        folder = write_pipeline(tmp_path, port, cases=1, pipeline=pipeline)
        function = f"async def find(order_id, ctx):\n    KEY = ctx.env['ORDER_KEY']\n    {body}\n"
        (folder / "steps/orders.py").write_text(function)
        done = evalh(folder, "run", "--json", env=env)
    seen = [done.stdout.encode(), done.stderr.encode(), *server.bodies]
    seen += [file.read_bytes() for file in (folder / ".evalh").glob("evalh.db*")]
    assert not any(b"s3cret" in one for one in seen)
    assert any(b"ORDER_KEY]" in one for one in seen)


def test_a_function_is_tried_again_as_often_as_it_says(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    pipeline = PIPELINE.replace("orders.py:find\n", "orders.py:find\n    retry: {attempts: 3}\n")
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path / "w", port, cases=1, pipeline=pipeline)
        text = COUNTED.format(log=log).replace(
            "    return", f"    if len(Path(r'{log}').read_text().split()) < 3: raise OSError('busy')\n    return"
        )
        (folder / "steps/orders.py").write_text(text)
        assert run(folder)["good"] == 1
    assert calls(log) == [1, 1, 1]


BLOCKING = """import time


async def find(order_id):
    if order_id == 2:
        time.sleep(30)
    return {"id": order_id, "state": "late"}
"""


def test_an_async_function_that_blocks_stops_its_own_sample_alone(tmp_path: Path) -> None:
    pipeline = PIPELINE.replace("orders.py:find\n", "orders.py:find\n    timeout_s: 1\n")
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path, port, cases=2, pipeline=pipeline)
        (folder / "steps/orders.py").write_text(BLOCKING)
        began = time.monotonic()
        first = document(evalh(folder, "run", "--json", "--concurrency", "1", "--case", "r-0002"))["results"][0]
        second = run(folder, "--case", "r-0001")
        took = time.monotonic() - began
    assert (first["ungraded"], second["good"]) == (1, 1)
    assert took < 20
