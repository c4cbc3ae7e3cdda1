"""A process that writes to a store, for tests that kill it, starve it or start two of it. Not a test itself.

    python store_child.py FOLDER RUN ANSWERS

Each answer is begun and ended; every tenth call is begun and never ended. A line says what was recorded and when
(`handed N SECONDS`), another what `flush` has promised to be durable (`durable N`).
"""

import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from evalh.api.event_loop import SystemClock  # noqa: E402
from evalh.core.case import Case  # noqa: E402
from evalh.core.errors import EvalhError  # noqa: E402
from evalh.store import open_store  # noqa: E402
from unit.store.playing import Play  # noqa: E402


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main(folder: Path, run_id: str, answers: int) -> None:
    store = open_store(folder, clock=SystemClock(), patience_s=3)
    play = Play(store, run_id, at=time.time())
    play.start(started_at=time.time())
    for number in range(answers):
        if number % 10 == 9:
            play.begin(play.call(f"lost-{number}"))
        call = play.call(f"{run_id}-{number}")
        play.answer(call)
        play.sample(Case(f"{run_id}-{number}", {"ticket": "x" * 2000}), call)
        say("handed", number, time.monotonic())
        if number == 0 or number % 50 == 49:  # the first at once: a slow machine fills a small disk before the 50th
            store.flush()
            say("durable", number)
        time.sleep(0.002)
    play.finish()
    say("finished")
    for line in sys.stdin:
        call = Play(store, run_id).call(line.strip())
        say("found" if store.find(call.request.digest(), call.key) else "missing")
    store.close()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    except EvalhError as told:
        sys.stderr.write(f"{type(told).__name__}: {told}\n")
        sys.exit(told.exit_code)
