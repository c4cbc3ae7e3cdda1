"""How an answer came about, on the page: attempts on a time axis, and why there was another."""

from pathlib import Path

import pytest

from browser.conftest import Browser
from workspaces import chat_server, evalh, write_workspace

pytestmark = pytest.mark.slow

ROUTED = """
[models.strong]
provider = "scripted"
model = "script-2"
function = "evals/strong.py:answer"
price = {{input = 3.0, output = 9.0}}

[models.dead]
provider = "openai"
model = "dead-1"
base_url = "http://127.0.0.1:{port}/v1"
price = {{input = 0.25, output = 2.0}}

[routes.careful]
model = "dead"
retry = {{attempts = 2, on = ["overload"]}}
fallback = ["doubtful"]
cascade = {{checks = ["schema"], escalate_to = "strong"}}

[models.doubtful]
provider = "scripted"
model = "script-1"
function = "evals/answers.py:answer"
price = {{input = 0.25, output = 2.0}}
"""


def test_retries_fallbacks_and_escalations_stand_on_a_time_axis_with_their_reasons(
    tmp_path: Path, browser: Browser
) -> None:
    with chat_server() as (server, model):
        server.fail_after = 0
        port = model.partition("127.0.0.1:")[2].partition("/")[0]
        folder = write_workspace(tmp_path, cases=3)
        (folder / "evalh.toml").write_text((folder / "evalh.toml").read_text() + ROUTED.format(port=port))
        (folder / "evals/answers.py").write_text("def answer(request, case_id, trial):\n    return 'perhaps billing'\n")
        (folder / "evals/strong.py").write_text(
            'def answer(request, case_id, trial):\n    return \'{"label": "billing"}\'\n'
        )
        done = evalh(folder, "run", "--model", "careful", "--report", str(tmp_path / "report.html"))
    assert done.returncode == 0, done.stderr

    opened = browser.open(tmp_path / "report.html", hash_="#case=t-0001")
    page = opened.page
    events = page.inner_text("#detail .events")

    assert page.locator("#detail .trace rect.error").count() == 2
    assert page.locator("#detail .trace rect.ok").count() == 2
    assert page.locator("#detail .trace line.decision").count() >= 3
    for kind in ("retry", "fallback", "escalate"):
        assert f"{kind}: " in events, events
    assert "503" in events or "overload" in events
    assert "→ strong" in events
    assert "unknown" not in page.inner_text("#detail .note >> nth=0")  # 0.0 ms is known
    assert opened.quiet(), opened
