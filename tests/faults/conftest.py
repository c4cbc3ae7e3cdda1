"""What the tests of bad input share: one command line for all of them."""

import pytest

from command_line import CommandLine, command_line


@pytest.fixture(scope="session")
def evalh() -> CommandLine:
    """The command line; each call is a process of its own."""
    return command_line()
