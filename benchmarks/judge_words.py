"""What the words of the built-in judge are worth on a small model.

Two fixed sets of outputs, judged in a workspace of their own, in the words of the installed evalh:

- *plain*: twelve replies to customers that are polite and name the next step, and twelve that are not or do not;
- *LLMBar*: both answers of twelve recorded pairs; people preferred one of them (needs EVALH_REAL_DATA).

Printed: how many of the good and of the bad outputs pass, how many replies hold no verdict, and how many reasons *echo*
the question: three words in a row that are evalh's own. `--words FILE.json` tries other words: `system` and `user`.

    python benchmarks/judge_words.py --model FILE.gguf --pairs 12
"""

import argparse
import gzip
import json
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from evalh import Workspace
from evalh.graders.judges import judge

CONFIG = """
[models.recorded]
provider = "replay"
path = "recorded.jsonl"

[models.judge]
provider = "local"
model = "smollm2-135m-instruct"
"""
SUITE = """prompt: answer
dataset: {name}
model: recorded
graders:
  - judge: {{rubric: {rubric}, model: judge, scale: pass/fail, max_tokens: {tokens}}}
"""
POLITE = "The reply is polite and tells the customer what happens next."
FOLLOWS = "The answer does what the instruction asks, correctly and completely."
ASKED = (
    "Where is my order?",
    "I was charged twice.",
    "How do I change my password?",
    "The cup arrived broken.",
    "Can I return the shoes?",
    "My invoice is missing.",
)
GOOD = (
    "Thank you for asking. Your order left our warehouse today, and you will get a tracking link by tonight.",
    "I am sorry about that. I have sent the second charge back, and you will see it within five days.",
    "Happy to help. Please open Settings, choose Security, and press Change password.",
    "I am sorry that the cup broke. We send you a new one tomorrow, and you need not return the old one.",
    "Of course. Please use the label in the box, and we refund you when the parcel arrives.",
    "Thank you for telling us. I have sent the invoice to your address just now; please look in your inbox.",
    "Thanks for your patience. The parcel is at the depot, and the driver brings it on Friday.",
    "Sorry for the trouble. Please send us the date of both charges, and we will check them today.",
    "Thank you for your message. I have just mailed you a link; please follow it to choose a new password.",
    "We are sorry. Please send us a photo of the cup, and we will refund it on the same day.",
    "Yes, gladly. You have 30 days; please bring the shoes to any of our shops and you get your money back.",
    "Good day, and thank you. Our accounts team prints the invoice again and posts it tomorrow.",
)
BAD = (
    "How should I know? Look it up yourself.",
    "That is your bank's fault. Stop writing to us.",
    "Everybody knows that. Are you stupid?",
    "Cups break. Bad luck.",
    "No. You wore them, so they are your problem now.",
    "Invoices, invoices. Nobody here has time for that.",
    "Orders take as long as they take.",
    "You probably bought two things and forgot. Typical.",
    "Passwords are hard for some people.",
    "You dropped it, admit it.",
    "Shoes are shoes.",
    "I see no invoice. Goodbye.",
)
RUN = 3  # words in a row that make an echo, and the fewest that say something


def plain_set() -> list[dict[str, object]]:
    rows = [(text, True) for text in GOOD] + [(text, False) for text in BAD]
    return [
        {"id": f"p-{number:02}", "asked": ASKED[number % len(ASKED)], "output": text, "good": good}
        for number, (text, good) in enumerate(rows)
    ]


def recorded_set(pairs: int) -> list[dict[str, object]]:
    path = Path(os.environ.get("EVALH_REAL_DATA", "nowhere")) / "llmbar/natural-cases.jsonl.gz"
    if not path.is_file():
        return []
    with gzip.open(path, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    short = [row for row in rows if len(row["instruction"] + row["output_1"] + row["output_2"]) < 1500][:pairs]
    return [
        {
            "id": f"{row['id']}-{side}",
            "asked": row["instruction"],
            "output": row[f"output_{side}"],
            "good": row["human_label"] == side,
        }
        for row in short
        for side in (1, 2)
    ]


def write(folder: Path, name: str, rows: list[dict[str, object]], rubric: str, model: str | None, tokens: int) -> None:
    config = CONFIG if model is None else CONFIG + f'path = "{model}"\n'
    files = {
        "evalh.toml": config,
        "prompts/answer/v1.prompt": "{{asked}}\n",
        f"evals/{name}.yaml": SUITE.format(name=name, rubric=json.dumps(rubric), tokens=tokens),
        f"datasets/{name}.jsonl": "".join(
            json.dumps({"id": row["id"], "inputs": {"asked": row["asked"]}}) + "\n" for row in rows
        ),
        "recorded.jsonl": "".join(json.dumps({"id": row["id"], "output": row["output"]}) + "\n" for row in rows),
    }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def words(text: str) -> list[str]:
    return [word.rstrip("s") for word in re.findall(r"[a-z0-9']+", text.lower())]


def runs(text: str) -> Iterator[tuple[str, ...]]:
    found = words(text)
    yield from (tuple(found[at : at + RUN]) for at in range(len(found) - RUN + 1))


def measure(
    name: str, rows: list[dict[str, object]], rubric: str, model: str | None, *, reasons: bool, tokens: int
) -> None:
    own = set(runs(judge.SYSTEM)) | set(runs(re.sub(r"{\w+}", " | ", judge.USER)))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write(folder, name, rows, rubric, model, tokens)
        workspace = Workspace.open(folder)
        workspace.run(name)
        with sqlite3.connect(folder / ".evalh/evalh.db") as log:
            found = log.execute(
                "select s.case_id, v.outcome, v.reason from verdicts v join samples s on s.id = v.sample_id order by 1"
            ).fetchall()
    good = {row["id"]: row["good"] for row in rows}
    said = {case: (outcome, reason or "") for case, outcome, reason in found}
    passed = {true: sum(said[case][0] == "pass" for case in said if good[case] is true) for true in (True, False)}
    of = {true: sum(value is true for value in good.values()) for true in (True, False)}
    errors = sum(outcome == "error" for outcome, _ in said.values())
    reasons_given = [reason for outcome, reason in said.values() if outcome != "error"]
    echoes = sum(not own.isdisjoint(runs(reason)) for reason in reasons_given)
    empty = sum(len(words(reason)) < RUN for reason in reasons_given)
    told = f"good {passed[True]} of {of[True]} pass, bad {passed[False]} of {of[False]} pass"
    print(
        f"{name}: {told}, {errors} without a verdict; of {len(reasons_given)} reasons "
        f"{echoes} echo, {empty} say nothing, {len(set(reasons_given))} differ",
        flush=True,
    )
    if reasons:
        for case, (outcome, reason) in said.items():
            print(f"  {case} {'good' if good[case] else 'bad '} {outcome:5} {reason[:150]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a GGUF file; without it, the embedded model")
    parser.add_argument("--pairs", type=int, default=12, help="pairs of LLMBar")
    parser.add_argument("--words", type=Path, help="a JSON file: other words to try")
    parser.add_argument("--max-tokens", type=int, default=1024, help="the longest reply")
    parser.add_argument("--reasons", action="store_true", help="print each verdict and reason")
    stated = parser.parse_args()
    if stated.words is not None:
        other = json.loads(stated.words.read_text(encoding="utf-8"))
        judge.SYSTEM, judge.USER = other["system"], other["user"]
    for name, rows, rubric in (("plain", plain_set(), POLITE), ("llmbar", recorded_set(stated.pairs), FOLLOWS)):
        if rows:
            measure(name, rows, rubric, stated.model, reasons=stated.reasons, tokens=stated.max_tokens)


if __name__ == "__main__":
    main()
