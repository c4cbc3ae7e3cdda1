"""A response body while it arrives: decompressed by us, and never larger than the cap."""

import zlib

from evalh.core.attempt import CallError, ErrorKind

BODY_CAP_BYTES = 16 * 1024 * 1024
"""No answer of a model is longer. What is longer is a mistake or an attack, and is not read to its end."""

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class BodyReader:
    """Collects the chunks of one body. Raises CallError (bad_response) at the cap, before memory is taken."""

    def __init__(self, encoding: str | None, declared: str | None, cap: int = BODY_CAP_BYTES) -> None:
        self._cap = cap
        self._size = 0
        self._chunks: list[bytes] = []
        self._inflate = _decompressor(encoding)
        if declared is not None and declared.isdecimal() and len(declared) < 20 and int(declared) > cap:  # noqa: PLR2004 (more digits than 64 bits: the parser's business)
            raise self._too_large()

    def feed(self, chunk: bytes) -> bytes:
        """Take one chunk as it came off the wire; return its content."""
        if self._inflate is not None:
            try:
                # One byte more than is allowed is enough to know; the rest of a bomb is never inflated.
                chunk = self._inflate.decompress(chunk, self._cap - self._size + 1)
            except zlib.error as exc:
                raise CallError(ErrorKind.BAD_RESPONSE, f"the compressed body is broken: {exc}") from None
        self._size += len(chunk)
        if self._size > self._cap:
            raise self._too_large()
        self._chunks.append(chunk)
        return chunk

    def value(self) -> bytes:
        """Return the whole body. Raises CallError where a compressed one ended early."""
        if self._inflate is not None and not self._inflate.eof and self._size:
            raise CallError(ErrorKind.BAD_RESPONSE, "the compressed body ended early")
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def _too_large(self) -> CallError:
        self._chunks.clear()
        return CallError(ErrorKind.BAD_RESPONSE, f"the body is larger than {self._cap // 2**20} MiB; it was not read")


def _decompressor(encoding: str | None) -> "zlib._Decompress | None":
    # We ask for `identity`: answers are small, and inflating costs more CPU than reading. Some servers answer gzip
    # all the same.
    if encoding is None or encoding in {"", "identity"}:
        return None
    if encoding.lower() in {"gzip", "x-gzip", "deflate"}:
        return zlib.decompressobj(_GZIP_OR_ZLIB)
    raise CallError(ErrorKind.BAD_RESPONSE, f"the body is encoded as {encoding[:40]!r}, which was not asked for")
