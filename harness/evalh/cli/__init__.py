"""The command line: one module per verb."""

try:
    from evalh.cli.main import main
except KeyboardInterrupt:  # Ctrl-C in the first tenth of a second: nothing was begun
    raise SystemExit(130) from None

__all__ = ["main"]
