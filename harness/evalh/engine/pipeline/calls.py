"""Share calls: sessions share calls in flight, and samples share queries to the log."""

import asyncio
from collections import OrderedDict

from evalh.core.attempt import Answer, CallKey
from evalh.core.ports import Store

_MOST_KEPT = 4096  # answers that the log may not show yet
_MOST_CHARACTERS = 16_000_000
_AT_ONCE = 128


class Flights:
    """Calls in flight, by request digest and key. Sessions that need the same call share it."""

    def __init__(self) -> None:
        """Begin with no calls."""
        self._flying: dict[tuple[str, CallKey], asyncio.Future[Answer | None]] = {}
        self._landed: OrderedDict[tuple[str, CallKey], Answer] = OrderedDict()
        self._characters = 0

    async def join(self, asked: tuple[str, CallKey]) -> Answer | None:
        """Return the answer of a call that another session began; None if there is no such call, or no answer."""
        while (flying := self._flying.get(asked)) is not None:
            answer = await asyncio.shield(flying)
            if answer is not None:
                return answer
        return self._landed.get(asked)

    def begin(self, asked: tuple[str, CallKey]) -> None:
        """Register a call that is about to be sent."""
        self._flying[asked] = asyncio.get_running_loop().create_future()

    def end(self, asked: tuple[str, CallKey], answer: Answer | None) -> None:
        """Give its answer to every waiting session. After None, each makes its own call."""
        self._flying.pop(asked).set_result(answer)
        if answer is None:
            return
        self._landed[asked] = answer
        self._characters += len(answer.completion.text)
        while len(self._landed) > _MOST_KEPT or self._characters > _MOST_CHARACTERS:
            _, oldest = self._landed.popitem(last=False)
            self._characters -= len(oldest.completion.text)


class Lookups:
    """Looks up answers in the log. Lookups of the same moment share one query."""

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
            except Exception as exc:  # noqa: BLE001 (every waiting caller gets the error)
                for _, found in batch:
                    if not found.done():
                        found.set_exception(exc)
                continue
            for (_, found), answer in zip(batch, answers, strict=True):
                if not found.done():
                    found.set_result(answer)
