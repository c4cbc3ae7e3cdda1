"""What is asked once is asked once: answers on their way, and looks into the log that are made together."""

import asyncio
from collections import OrderedDict

from evalh.core.attempt import Answer, CallKey
from evalh.core.ports import Store

_MOST_KEPT = 4096  # answers: what the log does not show yet, it shows a moment later
_MOST_CHARACTERS = 16_000_000
_AT_ONCE = 128


class Flights:
    """Calls on their way, by request digest and key: sessions that need the same one share it."""

    def __init__(self) -> None:
        """Know of none yet."""
        self._flying: dict[tuple[str, CallKey], asyncio.Future[Answer | None]] = {}
        self._landed: OrderedDict[tuple[str, CallKey], Answer] = OrderedDict()
        self._characters = 0

    async def join(self, asked: tuple[str, CallKey]) -> Answer | None:
        """Return the answer of a call that another began; None: there is none, or it gave no answer."""
        while (flying := self._flying.get(asked)) is not None:
            answer = await asyncio.shield(flying)
            if answer is not None:
                return answer
        return self._landed.get(asked)

    def begin(self, asked: tuple[str, CallKey]) -> None:
        """Say that a call leaves."""
        self._flying[asked] = asyncio.get_running_loop().create_future()

    def end(self, asked: tuple[str, CallKey], answer: Answer | None) -> None:
        """Hand its answer to all that wait; None: there is none, and they ask for themselves."""
        self._flying.pop(asked).set_result(answer)
        if answer is None:
            return
        self._landed[asked] = answer
        self._characters += len(answer.completion.text)
        while len(self._landed) > _MOST_KEPT or self._characters > _MOST_CHARACTERS:
            _, oldest = self._landed.popitem(last=False)
            self._characters -= len(oldest.completion.text)


class Lookups:
    """Looks into the log for many samples at once: those that ask at one moment share a question."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[bool, list[tuple[tuple[str, CallKey], asyncio.Future[Answer | None]]]] = {
            False: [],
            True: [],
        }

    async def find(self, asked: tuple[str, CallKey], *, routed: bool) -> Answer | None:
        """Return the newest successful answer. Raises EvalhError."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Answer | None] = loop.create_future()
        waiting = self._waiting[routed]
        waiting.append((asked, found))
        if len(waiting) == 1:
            loop.call_soon(self._answer, routed)
        return await found

    def _answer(self, routed: bool) -> None:  # noqa: FBT001 (the loop calls it)
        waiting = self._waiting[routed]
        self._waiting[routed] = []
        for begin in range(0, len(waiting), _AT_ONCE):
            batch = waiting[begin : begin + _AT_ONCE]
            try:
                answers = self._store.find_all([asked for asked, _ in batch], routed=routed)
            except Exception as exc:  # noqa: BLE001 (whoever waits is told)
                for _, found in batch:
                    if not found.done():
                        found.set_exception(exc)
                continue
            for (_, found), answer in zip(batch, answers, strict=True):
                if not found.done():
                    found.set_result(answer)
