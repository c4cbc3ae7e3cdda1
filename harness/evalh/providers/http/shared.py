"""One transport for each event loop and egress, shared by all providers that are open on it."""

import asyncio
from weakref import WeakKeyDictionary

from msgspec import Struct, field

from evalh.providers.http.direct import DirectTransport
from evalh.providers.http.egress import Egress
from evalh.providers.http.transport import Transport


class _Lease(Struct):
    transport: Transport
    holders: int = 0


class _Leases(Struct):
    """One transport per event loop and egress, shared by every provider that is open on it."""

    by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Egress, _Lease]] = field(
        default_factory=WeakKeyDictionary
    )


_LEASES = _Leases()


def share(egress: Egress) -> Transport:
    """Return the running loop's transport for an egress; each call wants one `unshare`. Raises UsageError."""
    on_loop = _LEASES.by_loop.setdefault(asyncio.get_running_loop(), {})
    lease = on_loop.get(egress)
    if lease is None:
        lease = on_loop[egress] = _Lease(DirectTransport(egress))
    lease.holders += 1
    return lease.transport


async def unshare(egress: Egress) -> None:
    """Give the running loop's transport back; the last holder closes it."""
    on_loop = _LEASES.by_loop.get(asyncio.get_running_loop(), {})
    lease = on_loop.get(egress)
    if lease is None:
        return
    lease.holders -= 1
    if lease.holders == 0:
        del on_loop[egress]
        await lease.transport.close()
