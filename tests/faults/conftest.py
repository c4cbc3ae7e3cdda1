"""What the tests of bad input share: one command line for all of them."""

from collections.abc import Iterator

import pytest

from faults.command_line import CommandLine


@pytest.fixture(scope="session")
def evalh() -> Iterator[CommandLine]:
    """The command line; each call is a process of its own."""
    line = CommandLine()
    yield line
    line.close()
