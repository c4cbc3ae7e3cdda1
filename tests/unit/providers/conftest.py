"""What tests of the wire share."""

from collections.abc import AsyncIterator

import httpx
import pytest

from evalh.providers.http.aiohttp_transport import AiohttpTransport
from evalh.providers.http.direct import DirectTransport
from evalh.providers.http.egress import Egress
from evalh.providers.http.httpx_transport import HttpxTransport
from evalh.providers.http.transport import Transport


@pytest.fixture(params=["direct", "aiohttp", "httpx"])
async def adapter(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    """Each adapter in turn; the user's own client would follow redirects."""
    if request.param != "httpx":
        ours = (DirectTransport if request.param == "direct" else AiohttpTransport)(Egress())
        yield ours
        await ours.close()
        return
    async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as client:
        yield HttpxTransport(client)
