"""Receive spans into `production.db`: from `evalh collect`, and from the files that `evalh import otel` reads."""

import os
from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from evalh.api.imports import refuse_devices
from evalh.api.parts import Parts
from evalh.api.production import STORE_VARIABLE, folder_of, price_of, production_writer
from evalh.core.errors import WorkspaceError
from evalh.core.values import Value
from evalh.interop.spans.bodies import read_file
from evalh.interop.spans.collection import Collection, Tally
from evalh.interop.spans.privacy import Keep, redacting, whole, without_content
from evalh_trace.records import AnyRecord

if TYPE_CHECKING:
    from evalh.store.production import ProductionWriter

_MOST_BYTES = 512 << 20  # of a file: its traces may lie far apart


class Arrived(Value, kw_only=True):
    """What came over spans."""

    tally: Tally
    losses: Mapping[str, int]  # why → records
    content: str  # off, on or redacted
    silent: tuple[str, ...]  # dialects whose calls came without content
    trouble: str | None  # why what was lost to the disk could not be written


def collection_for(parts: Parts, *, content: bool) -> Collection:
    """Return what takes spans and writes records of this workspace. Raises WorkspaceError, StoreError."""
    keep = keep_of(parts, content=content)
    with production_writer(parts):  # now rather than in the middle
        pass

    def write(records: list[AnyRecord]) -> None:
        with production_writer(parts) as writer:
            writer.write(records)

    process = f"collect-{os.getpid()}-{int(time())}"
    return Collection(write=write, price=price_of(parts), keep=keep, process=process)


def environment_of(parts: Parts) -> dict[str, str]:
    """Return the environment of a program that is started: what evalh.trace records in it comes to this workspace."""
    return {**parts.env, STORE_VARIABLE: str(folder_of(parts))}


def import_spans(parts: Parts, path: Path, *, content: bool) -> Arrived:
    """Read a file of spans and logs, such as a collector's file exporter writes. Raises UsageError, WorkspaceError."""
    refuse_devices(path.stat().st_mode, str(path), "evalh import otel FILE")
    with production_writer(parts) as writer:
        collection = collection_of_files(parts, writer, content=content)
        try:
            for _, received in read_file(path):
                collection.add(received, time())
        finally:  # what was read before a line that cannot be read is kept
            collection.close(time())
    return arrived(parts, collection, content=content)


def collection_of_files(parts: Parts, writer: "ProductionWriter", *, content: bool) -> Collection:
    """Return what takes spans of which many come at once. Raises WorkspaceError, StoreError."""
    collection = collection_for(parts, content=content)
    collection.write = writer.write  # opening the file for each trace would take longer than all else
    collection.most_bytes = _MOST_BYTES
    return collection


def arrived(parts: Parts, collection: Collection, *, content: bool) -> Arrived:
    """Say what a collection took."""
    trace = parts.config.trace
    return Arrived(
        tally=collection.tally(),
        losses=dict(collection.losses),
        content="on" if content or trace.content else "redacted" if trace.redact else "off",
        silent=tuple(sorted(collection.silent - collection.talking)),
        trouble=collection.trouble if "disk" in collection.losses else None,  # what failed at first was written later
    )


def keep_of(parts: Parts, *, content: bool) -> Keep:
    """Return what leaves content out or redacts it: content is off until it is stated. Raises WorkspaceError."""
    trace = parts.config.trace
    if trace.redact:
        from evalh_trace.redaction import Redactor  # type: ignore[import-not-found,unused-ignore]

        try:
            return redacting(Redactor(trace.redact))
        except Exception as exc:  # a rule that cannot be applied: nothing that it should have read may be kept
            raise WorkspaceError(
                f"redact cannot be applied: {exc}", where=parts.config.where_of("trace", "redact")
            ) from exc
    return whole if content or trace.content else without_content
