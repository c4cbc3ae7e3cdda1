"""What came over HTTP, read on the tracer's thread: encodings, server-sent events, errors, and when an answer began."""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from evalh_trace.importing import imported
from evalh_trace.records import Json
from evalh_trace.transport import Exchange
from evalh_trace.wires import Fields, error_fields
from evalh_trace.wires.reading import at, list_at

MOST_DECODED = 16 * 1024 * 1024
_WIDEST_ZSTD = 8 * 1024 * 1024  # as HTTP has it
_PIECE_ZSTD, _PIECE_BROTLI = 256, 16  # so few bytes can become some 10 MB
_OK = range(200, 300)


def read_json(body: bytes | None) -> Json:
    """Read a body; None for what is not JSON."""
    if body is None:
        return None
    for decode in (msgspec.json.decode, json.loads):  # the second takes half characters, as clients do
        try:
            return decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
    return None


def read_answer(exchange: Exchange) -> Fields:
    """Return the fields of an Attempt: what the answer says, or why there is none."""
    told: Fields = {
        "latency_ms": round((exchange.ended - exchange.begun) * 1000.0, 3),
        "http_status": exchange.status,
        "request_id": exchange.request_id,
        "retry_after_s": _seconds(exchange.retry_after),
    }
    chunks = list(_decoded(exchange))
    if exchange.status is None or exchange.status not in _OK:
        return {**told, "status": "error", **_failure(exchange, chunks)}
    answer = _read_events(exchange, chunks) if _is_stream(exchange) else _read_whole(exchange, chunks)
    whole = answer.pop("whole")
    if "error_kind" in answer:
        return {**told, **answer, "status": "error"}
    if exchange.error is not None:
        return {**told, **answer, "status": "error", **_failure(exchange, chunks)}
    if whole:
        return {**told, **answer, "status": "ok"}
    if exchange.closed_early:
        why = {"error_kind": "interrupted", "error": "closed by the program before the answer was whole"}
    else:
        why = {"error_kind": "bad_response", "error": "the answer ended before it was whole, or is not an answer"}
    return {**told, **answer, "status": "error", **why}


def _failure(exchange: Exchange, chunks: list[tuple[float, bytes]]) -> Fields:
    if exchange.error is None:
        return error_fields(exchange.status, read_json(b"".join(data for _, data in chunks)))
    name = exchange.error.partition(":")[0]
    if "Timeout" in name:
        kind = "timeout"
    elif name in {"CancelledError", "KeyboardInterrupt", "SystemExit", "GeneratorExit"}:
        kind = "interrupted"
    else:
        kind = "network"
    return {"error_kind": kind, "error": exchange.error, "error_class": name}


def _is_stream(exchange: Exchange) -> bool:
    return "event-stream" in (exchange.content_type or "")


def _read_whole(exchange: Exchange, chunks: list[tuple[float, bytes]]) -> Fields:
    body = read_json(b"".join(data for _, data in chunks))
    wire = exchange.wire
    if isinstance(body, list):  # Gemini's stream without events
        body = wire.fold(body)
    if not isinstance(body, dict):
        return {"whole": False}
    if body.get("error"):
        return {"whole": False, **error_fields(exchange.status, body)}
    fields = wire.answer_fields(body)
    said = fields.get("finish") or fields.get("text") or fields.get("tool_calls") or list_at(body, "choices")
    return {**fields, "whole": bool(said)}


def _read_events(exchange: Exchange, chunks: list[tuple[float, bytes]]) -> Fields:
    wire = exchange.wire
    events: list[Json] = []
    first: float | None = None
    done = False
    for when, data in _events(chunks):
        if data == b"[DONE]":
            done = True
            continue
        event = read_json(data)
        if event is None:
            continue
        events.append(event)
        if first is None and wire.speaks(event):
            first = when
    body = wire.fold(events)
    ttft = None if first is None else round((first - exchange.begun) * 1000.0, 3)
    fields: Fields = {**wire.answer_fields(body), "ttft_ms": ttft}
    if error := at(body, "error"):
        return {**fields, "whole": False, **error_fields(exchange.status, {"error": error})}
    return {**fields, "whole": bool(fields.get("finish") or (done and events))}


def _events(chunks: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """Yield the data of server-sent events, with the time when each was there."""
    rest = b""
    data: list[bytes] = []
    for when, chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for raw in lines:
            line = raw.rstrip(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].strip())
            elif not line and data:
                yield when, b"\n".join(data)
                data = []
    if rest.startswith(b"data:"):
        data.append(rest[5:].strip())
    if data and chunks:
        yield when, b"\n".join(data)


def _decoded(exchange: Exchange) -> Iterator[tuple[float, bytes]]:
    """Yield the chunks as they read, with their times; nothing after one that cannot be decoded."""
    encoding = (exchange.encoding or "identity").strip().lower()
    chunks = [*exchange.chunks, *exchange.tail]
    if encoding == "identity":
        yield from chunks
        return
    unpack = _unpacking(encoding)
    size = 0
    for when, chunk in chunks:
        try:
            data = b"" if unpack is None else unpack(chunk, MOST_DECODED + 1 - size)
        except Exception:  # noqa: BLE001 (each library has errors of its own)
            return
        size += len(data)
        if size > MOST_DECODED:
            return
        yield when, data


def _unpacking(encoding: str) -> Callable[[bytes, int], bytes] | None:
    """Return what unpacks the next bytes into not much more than so many; None: nothing here does."""
    if encoding in {"gzip", "x-gzip", "deflate"}:
        return zlib.decompressobj(wbits=47 if encoding != "deflate" else 15).decompress
    try:
        if encoding == "br":
            return _unbrotli(imported("brotli").Decompressor())
        if encoding == "zstd":
            unpacker = imported("zstandard").ZstdDecompressor(max_window_size=_WIDEST_ZSTD).decompressobj()
            return _in_pieces(unpacker.decompress, _PIECE_ZSTD)
    except ImportError:
        pass
    return None


def _unbrotli(unpacker: Any) -> Callable[[bytes, int], bytes]:
    def unpack(chunk: bytes, most: int) -> bytes:
        whole = bytearray(unpacker.process(chunk, output_buffer_limit=most))
        while len(whole) < most and not unpacker.can_accept_more_data():
            whole += unpacker.process(b"", output_buffer_limit=most - len(whole))
        return bytes(whole)

    bounded = hasattr(unpacker, "can_accept_more_data")  # brotli 1.2 and later
    return unpack if bounded else _in_pieces(unpacker.process, _PIECE_BROTLI)


def _in_pieces(decompress: Callable[[bytes], bytes], size: int) -> Callable[[bytes, int], bytes]:
    """Unpack a few bytes after the other, for libraries that cannot be told when to stop."""

    def unpack(chunk: bytes, most: int) -> bytes:
        whole = bytearray()
        for start in range(0, len(chunk), size):
            whole += decompress(chunk[start : start + size])
            if len(whole) >= most:
                break
        return bytes(whole)

    return unpack


def _seconds(text: str | None) -> float | None:
    """Read `retry-after` in seconds, or `retry-after-ms` with its unit; a date is left out."""
    if not text:
        return None
    number, unit = (text[:-2], 1000.0) if text.endswith("ms") else (text, 1.0)
    try:
        seconds = float(number) / unit
    except ValueError:
        return None
    return seconds if 0.0 <= seconds < 1e9 else None  # noqa: PLR2004 (longer is not a wait)
