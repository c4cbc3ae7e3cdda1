"""The command line: one module per verb."""

from evalh.cli.main import main

__all__ = ["main"]
