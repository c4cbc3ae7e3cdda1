"""What checks without gold, and the embedded model as a judge, find in failed runs of agent teams.

People annotated the first decisive mistake of each run (Who&When). Each turn of a run becomes a call of production;
`evalh grade --production` judges all turns. A grader finds the first turn that it fails. Prints for each grader in how
many runs it finds anything, and in how many exactly the annotated turn, beside what a turn by chance finds.

    python benchmarks/whowhen.py                 # checks without gold, all runs
    python benchmarks/whowhen.py --judge --runs 30   # the embedded model judges too
"""

import argparse
import gzip
import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path

from evalh.api.grade import grade
from evalh.api.options import GradeOptions
from evalh.api.workspace import Workspace
from evalh_trace.records import Attempt, Call, Workflow

DATA = Path(os.environ.get("EVALH_REAL_DATA", "data")) / "whowhen/algorithm-generated.jsonl.gz"
CHECKS = ("refusal", "hedging", "repetition", "truncation", "leaked_prompt")
JUDGE = """  - judge:
      name: judge
      model: small
      rubric: The turn must be a correct and useful step towards the answer.
      scale: pass/fail
      required: false
"""
FILES = {
    "evalh.toml": '[models.small]\nprovider = "local"\nmodel = "smollm2-135m-instruct"\n',
    "prompts/turn/v1.prompt": (
        '{{role "system"}}\nYou work in a team on one question.\n'
        '{{role "user"}}\nQuestion: {{question}}\nThe turn before: {{before}}\n'
    ),
    "evals/turn.yaml": "prompt: turn\ndataset: turn\nmodel: small\ngraders:\n"
    "  - length: {min_chars: 1}\n" + "".join(f"  - {name}: {{required: false}}\n" for name in CHECKS),
    "datasets/turn.jsonl": '{"id": "t", "inputs": {"question": "?", "before": "-"}}\n',
}
MOST = 600  # characters of a turn that the model reads


def records(runs: list[dict], most: int | None):
    for run in runs:
        yield Workflow(id=run["id"], name="team", door="whowhen", started_at=1.76e9, status="ok")
        before = "none"
        for place, turn in enumerate(run["steps"]):
            name, said = f"{run['id']}.{place}", turn["content"][:most] or "-"
            user = f"Question: {run['question'][:most]}\nThe turn before: {before}"
            messages = [
                {"role": "system", "parts": ["You work in a team on one question."]},
                {"role": "user", "parts": [user]},
            ]
            yield Call(id=name, workflow_id=run["id"], messages=messages, started_at=1.76e9 + place)
            yield Attempt(id=f"{name}.a", workflow_id=run["id"], call_id=name, status="ok", text=said)
            before = said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", action="store_true")
    parser.add_argument("--runs", type=int, default=1_000)
    asked = parser.parse_args()
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        runs = [json.loads(line) for line in lines][: asked.runs]
    with tempfile.TemporaryDirectory() as folder:
        for path, text in FILES.items():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_text(text + (JUDGE if asked.judge and path.startswith("evals") else ""))
        workspace = Workspace.open(folder)
        with workspace.production_writer() as production:
            production.write(records(runs, MOST if asked.judge else None))
        grade(workspace, GradeOptions(suite="turn"))
        found = defaultdict(dict)
        sql = """select v.grader, s.case_id from verdicts v join samples s on s.id = v.sample_id
        where v.outcome = 'fail' order by cast(substr(s.case_id, instr(s.case_id, '.') + 1) as integer)"""
        for grader, turn in Workspace.open(folder).log.query(sql)[1]:
            run, _, place = turn.rpartition(".")
            found[grader].setdefault(run, int(place))
    mistakes = {run["id"]: run["mistake_step"] for run in runs}
    chance = sum(1 / len(run["steps"]) for run in runs) / len(runs)
    print(f"{len(runs)} runs, {sum(len(run['steps']) for run in runs):,} turns; a turn by chance: {100 * chance:.1f} %")
    for grader in (*CHECKS, *(["judge"] if asked.judge else [])):
        first = found[grader]
        exact = sum(mistakes[run] == place for run, place in first.items())
        print(f"{grader:14s} fails a turn of {len(first):3d} runs, exactly the annotated one in {exact:3d}")


if __name__ == "__main__":
    main()
