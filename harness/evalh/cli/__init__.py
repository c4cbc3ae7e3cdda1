"""The command line: one module per verb."""

import gc

gc.set_threshold(400_000, 20, 100)  # what imports make stays: looking for cycles among it is a twentieth of the start

from evalh.cli.main import main  # noqa: E402

__all__ = ["main"]
