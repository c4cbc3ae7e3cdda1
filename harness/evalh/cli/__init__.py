"""The command line: one module per verb."""

import gc

gc.set_threshold(50_000, 20, 100)  # what imports make stays: looking for cycles among it is a twentieth of the start

try:
    from evalh.cli.main import main
except KeyboardInterrupt:  # Ctrl-C in the first tenth of a second: nothing was begun
    raise SystemExit(130) from None

__all__ = ["main"]
