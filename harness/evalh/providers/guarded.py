"""A plugin's provider, whose slips are the plugin's and not evalh's."""

import traceback
from typing import Any

from evalh.core.attempt import Call, CallError, Completion, ErrorKind
from evalh.core.ports import Provider
from evalh.core.request import Request


class Guarded:
    """Lets everything through to the plugin; what its `send` raises by mistake becomes a failed attempt."""

    def __init__(self, inner: Provider) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, request: Request, call: Call) -> Completion:
        """Send. Raises CallError; `bad_response` names the plugin's line where it raised something else."""
        try:
            completion: object = await self._inner.send(request, call)
        except CallError:
            raise
        except Exception as exc:
            last = traceback.extract_tb(exc.__traceback__)[-1]
            place = f"{last.filename}:{last.lineno}"
            raise CallError(ErrorKind.BAD_RESPONSE, f"{place}: {type(exc).__name__}: {exc}") from exc
        if not isinstance(completion, Completion):
            kind = type(completion).__name__
            raise CallError(ErrorKind.BAD_RESPONSE, f"provider {self._inner.kind!r} gave a {kind}, not a Completion")
        return completion
