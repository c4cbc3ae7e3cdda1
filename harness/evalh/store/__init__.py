"""The one SQLite file: migrations, the writer, the readers."""

from evalh.core.log import CallFilter
from evalh.store.database import StoreError
from evalh.store.reader import Reader, open_reader
from evalh.store.sqlite_store import SqliteStore, open_store

__all__ = ["CallFilter", "Reader", "SqliteStore", "StoreError", "open_reader", "open_store"]
