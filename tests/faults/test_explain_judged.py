"""`evalh explain` on a cascade whose check is the suite's own judge: whether escalating helped is known, for nothing."""

import json
from pathlib import Path

from faults.dialects import OPENAI
from faults.fault_server import Act, Asked, fault_server
from faults.running import here
from workspaces import write_workspace

CASES = 8
JUDGE = "judge: {rubric: It is thorough., scale: pass/fail, model: judge, name: tone}"
ROUTE = """
[routes.careful]
model = "small"
cascade = {checks = [{judge = {rubric = "It is thorough.", scale = "pass/fail", model = "judge"}}], escalate_to = "strong"}
"""


def answers(asked: Asked) -> Act:
    """The small model is thorough on every second case, the strong one always; the judge tells which is."""
    text = str(asked.document["messages"][-1]["content"])
    if asked.model == "judge":
        said = "pass" if "thorough work" in text else "fail"
        return OPENAI.answer(json.dumps({"reason": "I read it.", "verdict": said}))
    even = int(text.rsplit(maxsplit=1)[-1]) % 2 == 0
    return OPENAI.answer("thorough work" if asked.model == "strong" or even else "done")


def test_a_judge_that_was_the_routes_check_says_what_escalating_was_worth(tmp_path: Path) -> None:
    with fault_server(answers) as server:
        folder = write_workspace(tmp_path, cases=CASES, model=OPENAI.config(server.port, model="small"))
        config = folder / "evalh.toml"
        more = [f"\n[models.{name}]\n{OPENAI.config(server.port, model=name)}" for name in ("strong", "judge")]
        config.write_text(config.read_text() + "".join(more) + ROUTE)
        prompt = folder / "prompts/triage/v1.prompt"
        text = prompt.read_text().replace("output:\n  format: json\n  schema: {label(enum): [billing, bug]}\n", "")
        prompt.write_text(text)
        (folder / "evals/triage.yaml").write_text(
            f"prompt: triage\ndataset: triage\nmodel: careful\ngraders:\n  - {JUDGE}\n"
        )
        ran = here(folder, "run", "--json")
        assert (ran.exit, ran.result["good"]) == (0, CASES), ran.err
        asked = len(server.asked)
        explained = here(folder, "explain", "triage", "--json")
        assert len(server.asked) == asked

    assert explained.exit == 0, explained.err
    (helped,) = [
        decision["helped"]
        for route in json.loads(explained.out)["routes"]
        for decision in route["decisions"]
        if decision["helped"] and "bad → good" in decision["helped"]
    ]
    assert helped == f"{CASES // 2} bad → good, 0 good → bad, 0 the same"
