"""The recorded GSM8K answers of two real models come back word for word, from the files as they are."""

import asyncio
import gzip
import json
from pathlib import Path

import pytest

from evalh.core.attempt import Call, CallKey
from evalh.core.model import ModelSpec
from evalh.core.request import Message, Request, Role, Settings
from evalh.providers.recording import build
from evalh.providers.registry import ProviderContext


class Folder:
    revision = None

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def exists(self, path: str) -> bool:
        return (self.root / path).is_file()

    def names(self, folder: str) -> list[str]:
        return sorted(one.name for one in (self.root / folder).iterdir())


@pytest.mark.parametrize("version", ["6b_finetuning", "6b_verification"])
def test_every_recorded_answer_comes_back_word_for_word(real_data: Path, version: str) -> None:
    def no_function(name: str) -> object:
        raise AssertionError(name)

    context = ProviderContext(
        prompt="gsm8k",
        version=version,
        tree=Folder(real_data),
        root=real_data,
        env={},
        cache_dir=real_data,
        load_function=no_function,  # type: ignore[arg-type]
    )
    options = {"path": "gsm8k/outputs-{version}.jsonl.gz"}
    it = build(ModelSpec(name="recorded", provider="replay", model="m", options=options), context)
    with gzip.open(real_data / f"gsm8k/outputs-{version}.jsonl.gz", "rt", encoding="utf-8") as lines:
        recorded = {row["id"]: row["output"] for row in map(json.loads, lines)}
    request = Request((Message.of(Role.USER, "?"),), Settings(model="m", sent_to=it.identity))

    async def replayed() -> dict[str, str]:
        answers = {}
        for case_id in recorded:
            call = Call(id="r:1", run_id="r", key=CallKey(case_id), request=request)
            answers[case_id] = (await it.send(request, call)).text
        await it.close()
        return answers

    assert len(recorded) == 1319
    assert asyncio.run(replayed()) == recorded
