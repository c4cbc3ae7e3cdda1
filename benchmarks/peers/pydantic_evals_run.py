"""The benchmark's work in pydantic_evals: every ticket asked once by the openai client, the label compared."""

import asyncio
import json
import os
import sys
from pathlib import Path

from openai import AsyncOpenAI, DefaultAioHttpClient
from pydantic_evals import Case, Dataset
from pydantic_evals.evaluators import EqualsExpected


async def main(rows: list[dict]) -> None:
    in_flight = int(sys.argv[1])
    cases = [
        Case(name=row["id"], inputs=row["inputs"]["ticket"], expected_output=row["expected"]["label"]) for row in rows
    ]
    async with AsyncOpenAI(http_client=DefaultAioHttpClient()) as client:

        async def triage(ticket: str) -> str:
            answer = await client.chat.completions.create(
                model="bench-1",
                temperature=0,
                max_tokens=24,
                messages=[
                    {"role": "system", "content": "You sort support tickets. Answer with JSON."},
                    {"role": "user", "content": ticket},
                ],
            )
            return json.loads(answer.choices[0].message.content or "")["label"]

        dataset = Dataset(name="triage", cases=cases, evaluators=[EqualsExpected()])
        report = await dataset.evaluate(triage, max_concurrency=in_flight, progress=False)
    print("good", sum(all(one.value for one in case.assertions.values()) for case in report.cases))


asyncio.run(main([json.loads(row) for row in Path(os.environ["BENCH_CASES"]).read_text().splitlines()]))
