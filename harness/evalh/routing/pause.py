"""While the log cannot be written nothing is sent: an answer that cannot be stored would be bought twice."""

from collections.abc import Awaitable, Callable

from evalh.core.ports import CallLog, Progress

_LOOK_AGAIN_S = 0.25
_LOOKS_UNTOLD = 3  # a disk that is busy for a moment is not worth a line


async def until_writable(
    log: CallLog, sleep: Callable[[float], Awaitable[None]], progress: Progress | None = None
) -> None:
    """Wait while the log is blocked. Raises EvalhError when it has failed, and what `sleep` raises."""
    looks = 0
    while (because := log.blocked()) is not None:
        looks += 1
        if progress is not None and looks > _LOOKS_UNTOLD:
            progress.paused(because)
        await sleep(_LOOK_AGAIN_S)
    if progress is not None and looks > _LOOKS_UNTOLD:
        progress.paused(None)
