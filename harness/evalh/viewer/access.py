"""Which requests are answered: decided from a request's head, before anything is read for it.

Other programs' pages are in the same browser, and other people may be on the same machine. A page elsewhere can send
requests here (Origin, Sec-Fetch-Site), can give this machine a name of its own (Host), and cannot know the token.
"""

import hmac
import secrets
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct, field

from evalh.core.values import Value

HOSTS = ("127.0.0.1", "::1")
"""The addresses that may be listened on: this machine, and no other's."""

_ELSEWHERE = frozenset({"cross-site", "same-site"})  # another port of this machine is the same site
_METHODS = frozenset({"GET", "HEAD"})
_HTTP = 80


class RequestHeaders(Protocol):
    """A request's headers."""

    def getall(self, name: str, default: Sequence[str], /) -> Sequence[str]:
        """Return every value of a header."""


class Denied(Value):
    """Why a request is refused: a status and words that tell nothing more."""

    status: int
    words: str


_STRANGER = Denied(404, "not found")


class Door(Struct):
    """The server's own address and its secret."""

    host: str
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    writes: bool = False  # whether a page may send a form
    _once: str | None = None

    @property
    def authority(self) -> str:
        """The host and port as they stand in an address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address to open."""
        return f"http://{self.authority}/{self.token}/"

    def once(self) -> str:
        """Return an address that leads to `url` one time: a browser's command line is seen by the whole machine."""
        self._once = secrets.token_urlsafe(32)
        return f"http://{self.authority}/{self._once}"

    def opens_once(self, path: str) -> bool:
        """Whether a path is the one-time address; it is used up then."""
        if self._once is None or not same(path.removeprefix("/"), self._once):
            return False
        self._once = None
        return True

    def stranger(self, method: str, headers: RequestHeaders) -> Denied | None:
        """Return why a request is refused whatever it asks for, or None."""
        hosts = headers.getall("Host", ())
        if len(hosts) != 1 or hosts[0].lower() not in self._names():
            return Denied(403, "this server does not have that name")
        origins = headers.getall("Origin", ())
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return Denied(403, "the request came from another page")
        if _ELSEWHERE.intersection(headers.getall("Sec-Fetch-Site", ())) and not _clicked(headers):
            return Denied(403, "the request came from another page")
        if method == "POST" and self.writes:
            return None if _of_own_page(headers) else Denied(403, "the request came from another page")
        if method not in _METHODS:
            return Denied(405, "only GET and HEAD are allowed")
        return None

    def inside(self, path: str) -> str | Denied:
        """Return what stands behind the token in a path as it was sent; no part of it is decoded."""
        given, slash, rest = path.partition("?")[0].removeprefix("/").partition("/")
        return slash + rest if same(given, self.token) else _STRANGER

    def _names(self) -> frozenset[str]:
        names = {self.authority, f"localhost:{self.port}"}
        if self.port == _HTTP:
            names |= {name.rpartition(":")[0] for name in names}
        return frozenset(names)


def same(given: str, secret: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), secret.encode())


def _of_own_page(headers: RequestHeaders) -> bool:
    """Whether a page of this server sends a form: a browser that says nothing of where it comes from is refused."""
    return len(headers.getall("Origin", ())) == 1 and set(headers.getall("Sec-Fetch-Site", ())) <= {"same-origin"}


def _clicked(headers: RequestHeaders) -> bool:
    """Whether a person followed a link to here: the page with the link sees nothing of the answer."""
    mode, aim = headers.getall("Sec-Fetch-Mode", ()), headers.getall("Sec-Fetch-Dest", ())
    return list(mode) == ["navigate"] and list(aim) == ["document"]
