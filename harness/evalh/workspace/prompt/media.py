"""Images and files that a case brings: `data:` URLs and files of the workspace. Nothing is fetched.

A case is untrusted text, so it reaches only files that a model may be shown: no hidden ones, and only known types.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.ports import Tree
from evalh.core.request import Media
from evalh.core.strict_json import JsonValue

LoadMedia: TypeAlias = Callable[[str], Media]
"""Reads a file of the workspace. Raises WorkspaceError."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_CONTENT_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+", re.IGNORECASE)
_URL_ALPHABET = bytes.maketrans(b"-_", b"+/")
_KEYS = ("url", "path", "content_type", "contentType")

# What the first bytes say; (offset, bytes, type). The first that fits counts.
_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    *((4, b"ftyp" + brand, "image/heic") for brand in (b"heic", b"heix", b"heim", b"heis")),
    *((4, b"ftyp" + brand, "image/heif") for brand in (b"mif1", b"msf1")),
    *((4, b"ftyp" + brand, "image/avif") for brand in (b"avif", b"avis")),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"%PDF-", "application/pdf"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (8, b"AIFF", "audio/aiff"),
    (0, b"ID3", "audio/mpeg"),
    *((0, b"\xff" + second, "audio/mpeg") for second in (b"\xfb", b"\xf3", b"\xf2", b"\xfa")),
    *((0, b"\xff" + second, "audio/aac") for second in (b"\xf1", b"\xf9")),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt  ", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
)
_IN_RIFF = frozenset({b"WEBP", b"WAVE", b"AVI "})
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/svg": "image/svg+xml",
    "application/x-pdf": "application/pdf",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "text/json": "application/json",
    "text/x-markdown": "text/markdown",
    "application/csv": "text/csv",
    "application/xml": "text/xml",
}
"""Other names of one type; providers know the second."""
_CONTAINERS = {
    "audio/ogg": ("video/ogg", "audio/opus", "application/ogg"),
    "video/webm": ("audio/webm", "video/x-matroska"),
    "video/mp4": ("audio/mp4",),
    "image/heif": ("image/heic", "image/heif-sequence"),
    "image/heic": ("image/heif",),
}
"""Types that begin alike: there what is stated is believed."""
# What has no first bytes of its own.
_EXTENSIONS = {
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "md": "text/markdown",
    "mp3": "audio/mpeg",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "xml": "text/xml",
}


def media_from(tree: Tree, path: str) -> Media:
    """Read a file of the workspace. Raises WorkspaceError, for hidden files and unknown types too."""
    if any(name.startswith(".") for name in path.split("/")):
        raise WorkspaceError("a case may not show hidden files to a model", where=path)
    try:
        data = tree.read(path)
    except FileNotFoundError:
        raise WorkspaceError("no such file", where=path, hint="paths start at the workspace's root") from None
    content_type = content_type_of(data, path)
    if content_type is None:
        known = "png, jpeg, gif, webp, heic, avif, pdf, wav, mp3, ogg, flac, mp4, webm"
        raise WorkspaceError(
            "its type is unknown", where=path, hint=f"known: {known}, {', '.join(sorted(_EXTENSIONS))}"
        )
    return Media.of(data, content_type)


def content_type_of(data: bytes, path: str) -> str | None:
    """Return the content type by the first bytes, else by the name's ending; None if unknown."""
    return _told_by_bytes(data) or _EXTENSIONS.get(path.rpartition(".")[2].lower())


def _told_by_bytes(data: bytes) -> str | None:
    for offset, magic, content_type in _MAGIC:
        riff = magic not in _IN_RIFF or data[:4] in (b"RIFF", b"RF64")
        if data[offset : offset + len(magic)] == magic and riff:
            return content_type
    return None


def _settled(data: bytes, stated: str) -> str:
    """Return the type that is sent: the bytes' own where they tell, else what is stated, under its usual name."""
    stated = stated.lower()
    stated = _ALIASES.get(stated, stated)
    detected = _told_by_bytes(data)
    return stated if detected is None or stated in _CONTAINERS.get(detected, ()) else detected


def read_media(value: JsonValue, content_type: str | None, load: LoadMedia | None) -> Media:
    """Return what a case names: text, or `{url | path, content_type}`. Raises WorkspaceError."""
    if isinstance(value, Mapping):
        value, stated = _named(value)
        content_type = stated or content_type
    if not isinstance(value, str) or not value:
        raise WorkspaceError(f"media is named by a path or a data: URL, not by {type(value).__name__}")
    if content_type is not None and not _CONTENT_TYPE.fullmatch(content_type):
        raise WorkspaceError(f"{content_type!r} is not a content type", hint="such as image/png")
    media = _located(value, load)
    return media if content_type is None else Media(media.sha256, _settled(media.data, content_type), media.data)


def _named(value: Mapping[str, JsonValue]) -> tuple[JsonValue, str | None]:
    for key in value:
        if key not in _KEYS:
            raise WorkspaceError(f"media has no {key!r}", hint=did_you_mean(str(key), _KEYS))
    places = [value[key] for key in ("url", "path") if key in value]
    if len(places) != 1:
        raise WorkspaceError("media is named by one of url and path")
    content_type = value.get("content_type", value.get("contentType"))
    if content_type is not None and not isinstance(content_type, str):
        raise WorkspaceError("content_type is text, such as image/png")
    return places[0], content_type


def _located(place: str, load: LoadMedia | None) -> Media:
    scheme = _SCHEME.match(place)
    if scheme is None:
        if load is None:
            raise WorkspaceError("files cannot be read here", where=place, hint="use a data: URL")
        return load(place)
    if scheme[1].lower() != "data":
        raise WorkspaceError(
            f"{scheme[1].lower()}: URLs are not fetched: {place[:80]}",
            hint="put the file into the workspace; its bytes are sent, and known by their SHA-256",
        )
    return _inline(place[len(scheme[0]) :])


def _inline(rest: str) -> Media:
    """Read what follows `data:` (RFC 2397)."""
    head, comma, body = rest.partition(",")
    content_type, *parameters = [part.strip().lower() for part in head.split(";")]
    if not comma:
        raise WorkspaceError("a data: URL without a comma")
    try:
        data = unquote_to_bytes(body)
        if "base64" in parameters:
            data = _unpacked(data)
    except (binascii.Error, ValueError) as exc:
        raise WorkspaceError(f"a data: URL that is not base64: {exc}") from None
    if content_type and not _CONTENT_TYPE.fullmatch(content_type):
        raise WorkspaceError(f"{content_type[:80]!r} is not a content type", hint="such as image/png")
    return Media.of(data, _settled(data, content_type or "text/plain"))


def _unpacked(text: bytes) -> bytes:
    """Decode base64 as programs write it: in lines, for URLs, without its padding. Raises ValueError."""
    text = text.translate(_URL_ALPHABET, b" \t\r\n").rstrip(b"=")
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
