"""While the log cannot be written nothing is sent: an answer that cannot be stored would be bought twice."""

from collections.abc import Awaitable, Callable

from evalh.core.ports import CallLog, Progress

_LOOK_AGAIN_S = 0.25


async def until_writable(
    log: CallLog, sleep: Callable[[float], Awaitable[None]], progress: Progress | None = None
) -> None:
    """Wait while the log is blocked. Raises EvalhError when it has failed, and what `sleep` raises."""
    if log.blocked() is None:
        return
    while (because := log.blocked()) is not None:
        if progress is not None:
            progress.paused(because)
        await sleep(_LOOK_AGAIN_S)
    if progress is not None:
        progress.paused(None)
