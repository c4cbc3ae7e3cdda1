"""Keys of many parts are refused before the parser takes the square of their number."""

import pytest

from evalh.core.errors import WorkspaceError
from evalh.workspace.toml import parse_toml


@pytest.mark.parametrize("part", ["a", '"a b"', "'x'", "a ", "long-name_9"])
def test_a_key_of_thousands_of_parts_is_refused_at_once(part: str) -> None:
    with pytest.raises(WorkspaceError, match="a key has more than 200 parts") as caught:
        parse_toml(f"[models]\n{(part + '.') * 20_000}x = 1\n", "evalh.toml")

    assert caught.value.where == "evalh.toml:2"


@pytest.mark.parametrize("text", ['a = "' + "b" * 500_000 + '"', "a = '" + ". " * 100_000 + "'", "# " + "x" * 500_000])
def test_long_texts_are_read(text: str) -> None:
    parse_toml(text, "evalh.toml")
