"""What was tested is what is asked: under the same faults an ask does what `evalh run` does."""

import asyncio
import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest

import evalh
from asking.written import decided, written
from evalh_trace.records import Attempt
from faults.dialects import OPENAI
from faults.fault_server import Act, Asked, FaultServer, How
from faults.running import EVERY_KIND, decisions, run, two_models

CASES = 500
ROUTE = f"""model = "small"
retry = {{attempts = 14, base_s = 0.002, cap_s = 0.02, share = 2.0, on = {EVERY_KIND}}}
cascade = {{checks = ["schema"], escalate_to = "strong"}}
breaker = false
"""


def shaky(asked: Asked) -> Act:
    """One of four requests fails; the cheap model answers every third case well."""
    dice = Random(f"{asked.model}/{asked.case}/{asked.nth}")
    if dice.random() < 0.25:
        return dice.choice([OPENAI.error("rate_limit"), OPENAI.error("overload"), Act(how=How.RESET), Act(body=b"{")])
    vague = asked.model == "cheap-1" and int(asked.case[2:]) % 3
    return OPENAI.answer("maybe") if vague else OPENAI.right(asked)


def test_five_hundred_asks_at_once_make_the_attempts_the_decisions_and_the_money_of_a_run(tmp_path: Path) -> None:
    with two_models(tmp_path / "run", shaky, ROUTE, cases=CASES) as (server, folder):
        done = run(folder, "--concurrency", "256").result
        attempts_of_run, decisions_of_run = _attempts(server), Counter(one["kind"] for one in decisions(folder))
    assert done["status"] == "complete"

    with two_models(tmp_path / "ask", shaky, ROUTE, cases=CASES) as (server, folder):
        shutil.rmtree(folder / ".evalh", ignore_errors=True)
        answers = asyncio.run(_ask_all(folder))
        attempts_of_asks, decisions_of_asks = _attempts(server), decided(folder)
        attempts = written(folder, Attempt)

    assert attempts_of_asks == attempts_of_run
    del decisions_of_run["shrink"], decisions_of_asks["shrink"]  # once a round trip: as requests happen to overlap
    assert decisions_of_asks == decisions_of_run
    assert sum(one.cost_usd or 0.0 for one in attempts) == pytest.approx(done["cost_usd"], rel=1e-9)
    assert len(attempts) == len(server.asked) == attempts_of_run.total()
    assert sum(one == {"label": "billing"} for one in answers) == done["good"]


async def _ask_all(folder: Path) -> list[object]:
    return await asyncio.gather(
        *(
            evalh.ask_async("triage", {"ticket": f"order {number}"}, model="careful", workspace=folder)
            for number in range(1, CASES + 1)
        )
    )


def _attempts(server: FaultServer) -> Counter[tuple[str, str]]:
    """Count the requests by model and case. A connection that was closed under a request is sent again, uncounted."""
    return Counter((one.model, one.case) for one in server.asked)
