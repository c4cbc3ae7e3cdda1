"""How the outside is reached: proxies and certificate authorities, as the environment names them."""

import base64
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from ssl import SSLContext, SSLError, create_default_context
from urllib.parse import unquote, urlsplit

from evalh.core.errors import UsageError
from evalh.core.values import Value

_CA_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


class Proxy(Value):
    """An HTTP proxy; its credentials are apart from its URL, so that no message shows them."""

    url: str
    headers: Mapping[str, str]


class Egress(Value):
    """What of the environment decides how requests leave. Hashable: one connection pool per value."""

    http_proxy: str | None = None
    https_proxy: str | None = None
    no_proxy: str = ""
    ca_path: str | None = None
    ca_variable: str = ""

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "Egress":
        """Read HTTP(S)_PROXY, ALL_PROXY, NO_PROXY (lower case wins), SSL_CERT_FILE and REQUESTS_CA_BUNDLE."""
        every = _variable(env, "all_proxy")
        ca = next((name for name in _CA_FILES if env.get(name)), "")
        return cls(
            http_proxy=_variable(env, "http_proxy") or every,
            https_proxy=_variable(env, "https_proxy") or every,
            no_proxy=_variable(env, "no_proxy") or "",
            ca_path=env.get(ca) if ca else None,
            ca_variable=ca,
        )

    def proxy_for(self, url: str) -> Proxy | None:
        """Return the proxy for a URL. This machine itself is always reached directly. Raises UsageError."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        address = self.https_proxy if parts.scheme == "https" else self.http_proxy
        bypassed = any(_covers(entry.strip().lower(), host, parts.port) for entry in self.no_proxy.split(","))
        if not address or is_loopback(host) or bypassed:
            return None
        return _proxy(address)

    def tls(self) -> SSLContext:
        """Return the context that verifies against the user's authorities, else the system's. Raises UsageError."""
        return _verifying(self.ca_path, self.ca_variable)


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=8)  # reading a machine's authorities takes some 40 ms
def _verifying(ca_path: str | None, ca_variable: str) -> SSLContext:
    if ca_path is None:
        return create_default_context()
    path = Path(ca_path)
    try:
        if path.is_dir():
            return create_default_context(capath=str(path))
        return create_default_context(cafile=str(path))
    except (OSError, SSLError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "no certificates in it"
        raise UsageError(
            f"{ca_variable} names {ca_path}, which cannot be used: {reason}",
            hint=f"point {ca_variable} at a file of PEM certificates, or unset it",
        ) from None


def _variable(env: Mapping[str, str], name: str) -> str | None:
    return env.get(name) or env.get(name.upper()) or None


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Read an entry of NO_PROXY as curl does: a name with its subdomains, `host:port`, an address, a network, `*`."""
    if entry in {"*", ""}:
        return entry == "*"
    name = entry.lstrip("*").lstrip(".")
    if name.endswith(f":{port}"):
        name = name.removesuffix(f":{port}")
    if host == name or host.endswith(f".{name}"):
        return True
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return False


def _proxy(address: str) -> Proxy:
    parts = urlsplit(address if "://" in address else f"http://{address}")
    host = parts.hostname
    if parts.scheme not in {"http", "https"} or not host:
        raise UsageError(
            f"the environment names a {parts.scheme or 'nameless'} proxy, and evalh can use http proxies only",
            hint="set HTTPS_PROXY=http://host:port, or add the model's host to NO_PROXY",
        )
    place = f"[{host}]" if ":" in host else host
    url = f"{parts.scheme}://{place}:{parts.port}" if parts.port else f"{parts.scheme}://{place}"
    if parts.username is None:
        return Proxy(url, {})
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return Proxy(url, {"Proxy-Authorization": f"Basic {base64.b64encode(login).decode('ascii')}"})
