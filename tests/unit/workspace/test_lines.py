"""Rows of many megabytes, in time that grows as they do."""

import io
from pathlib import Path

import pytest

from evalh.core.errors import WorkspaceError
from evalh.workspace.config import Config
from evalh.workspace.dataset.dataset import open_dataset
from evalh.workspace.files import LONGEST_BYTES, WorkTree, read_lines


def test_a_row_of_fifty_megabytes_is_read_and_a_longer_one_is_refused() -> None:
    row = b"y" * 50_000_000

    assert [len(span.raw) for span in read_lines(io.BytesIO(row + b"\n" + row), "d", 0, 1)] == [50_000_001, 50_000_000]
    with pytest.raises(WorkspaceError, match="a row is longer than 64 MB"):
        list(read_lines(io.BytesIO(b"y" * (LONGEST_BYTES + 1)), "d", 0, 1))


@pytest.mark.parametrize(
    "cell",
    [
        b"y" * 50_000_000,
        b'"' + b"y\n" * 25_000_000 + b'"',
        b'"' + b'""' * 10_000_000 + b'"',
        b'"' + b"\r" * 20_000_000 + b'"',
    ],
    ids=["plain", "lines", "quotes", "returns"],
)
def test_a_cell_of_many_megabytes_is_read(tmp_path: Path, cell: bytes) -> None:
    (tmp_path / "d.csv").write_bytes(b"id,x\na," + cell + b"\nb,1\n")

    first, second = open_dataset(WorkTree(tmp_path), Config(), "d.csv")

    assert len(first.inputs["x"]) >= len(cell) // 2 - 1
    assert second.inputs == {"x": "1"}
