"""The command line: one module per verb."""

import gc
import os

# Nothing that the start makes goes before the first request: to look for cycles among it is a twentieth of the start.
gc.set_threshold(400_000, 20, 100)
# To look for pydantic's plugins reads the metadata of every installed package; none is needed to read our own files.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from evalh.cli.main import main  # noqa: E402

__all__ = ["main"]
