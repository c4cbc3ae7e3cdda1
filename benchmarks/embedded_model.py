"""How fast the embedded model is, and what it gets right.

Asks the repository's own triage cases, without the log, with each setting in turn, and prints cases a second, CPU a
case, the part of the prompt that a slot had read before, and a digest of the answers: equal digests, equal answers.
`--busy N` starts N processes that do nothing but compute, as neighbours on a shared machine do.

    python benchmarks/embedded_model.py --version v3 --settings slots=2,threads=1 slots=1,threads=2 --busy 2
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from msgspec.structs import replace

from evalh import Selection, Workspace
from evalh.api.options import RunOptions
from evalh.core.attempt import Call, CallKey
from evalh.providers import local
from evalh.providers.registry import ProviderContext

ROOT = Path(__file__).parent.parent


@contextmanager
def neighbours(count: int):
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def provider_with(workspace: Workspace, setting: str) -> local.LocalProvider:
    options = {name: int(value) for name, value in (pair.split("=") for pair in setting.split(",") if pair)}
    context = ProviderContext(
        prompt=None,
        version=None,
        tree=workspace.tree,
        root=workspace.root,
        env=os.environ,
        cache_dir=workspace.cache_dir,
        load_function=lambda _path: print,
    )
    return local.build(replace(workspace.config.models["small"], options=options), context)


async def ask(provider: local.LocalProvider, plan) -> list:
    answers = []
    cases = iter([(case, plan.step.request(case)) for case in plan.cases])

    async def worker() -> None:
        for case, request in cases:
            call = Call(id="b", run_id="b", key=CallKey(case.id), request=request)
            answers.append((case, await provider.send(request, call)))

    await provider.open()
    try:
        await asyncio.gather(*(worker() for _ in range(provider.max_in_flight)))
    finally:
        await provider.close()
    return answers


def right(case, text: str) -> bool:
    try:
        return json.loads(text)["label"] == case.expected["label"]
    except (ValueError, KeyError, TypeError):
        return False


def measure(workspace: Workspace, plan, setting: str) -> str:
    provider = provider_with(workspace, setting)
    cpu, began = time.process_time(), time.perf_counter()
    answers = asyncio.run(ask(provider, plan))
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    usages = [answer.usage for _, answer in answers]
    cached = sum(usage.cached_tokens or 0 for usage in usages) / sum(usage.input_tokens for usage in usages)
    good = sum(right(case, answer.text) for case, answer in answers)
    texts = json.dumps(sorted((case.id, answer.text) for case, answer in answers))
    return (
        f"{setting or 'as it comes':22s} {wall:6.1f} s · {len(answers) / wall:5.2f} cases/s · "
        f"CPU {cpu / len(answers):.2f} s a case · read before {cached:.0%} of the prompt · "
        f"good {good}/{len(answers)} · answers {sha256(texts.encode()).hexdigest()[:8]}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", default="v3")
    parser.add_argument("--cases", type=int, default=150)
    parser.add_argument("--settings", nargs="*", default=[""], help="slots=2,threads=1 …; none: as it comes")
    parser.add_argument("--busy", type=int, default=0, help="neighbours that compute")
    options = parser.parse_args()
    workspace = Workspace.open(ROOT)
    run = RunOptions(target="triage", prompts=(options.version,), selection=Selection(limit=options.cases))
    (plan,) = workspace.plans(run)
    print(f"{options.version}, {len(plan.cases)} cases, {os.cpu_count()} cores, {options.busy} busy neighbours")
    with neighbours(options.busy):
        for setting in options.settings:
            print(measure(workspace, plan, setting), flush=True)


if __name__ == "__main__":
    main()
