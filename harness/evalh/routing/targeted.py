"""One model of a route is sent its own request: the call's messages under its settings."""

from evalh.core.attempt import Call, Completion
from evalh.core.digest import digest
from evalh.core.ports import Provider
from evalh.core.request import Request, Settings
from evalh.routing.wrapper import Wrapper


class Targeted(Wrapper):
    """Lays one model's settings over whatever it is handed."""

    def __init__(self, inner: Provider, settings: Settings) -> None:
        super().__init__(inner)
        self._settings = settings
        self._settings_digest = digest(settings.document())

    async def send(self, request: Request, call: Call) -> Completion:
        """Send the messages under this model's settings. Raises CallError, NotSent."""
        if request.settings is self._settings:
            return await self.inner.send(request, call)
        return await self.inner.send(Request(request.messages, self._settings, self._settings_digest), call)
