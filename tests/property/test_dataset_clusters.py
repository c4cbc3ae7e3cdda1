"""Clusters written into a dataset: each row reads as before, with its cluster, and no other byte moves."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.property.test_workspace_files_datasets import ROWS, OneFile

from evalh.workspace.dataset.dataset import Dataset

NAMES = st.text(min_size=1, max_size=8).map(str.strip).filter(bool)
# What a cell can hold: a lone \r reads as \n, and Python's writer does not quote it.
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=10)


def held_to(path: str, data: bytes, clusters: dict[str, str]) -> bytes:
    """Write the clusters, read what was written, and hold it to what was there."""
    dataset = Dataset(OneFile(path, data), path)
    before = list(dataset)
    written = b"".join(dataset.with_clusters(clusters))

    after = [replace(case, where="") for case in Dataset(OneFile(path, written), path)]  # a name may hold line ends
    assert after == [replace(case, cluster=clusters.get(case.id, case.cluster), where="") for case in before]
    return written


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("text", ['": ', '":', '", "', "}", '"}'])
def test_a_row_keeps_its_own_blanks_whatever_its_texts_hold(text: str, compact: bool) -> None:
    row = {"id": "a", "inputs": {"question": text}, "tags": [text]}
    line = json.dumps(row, separators=(",", ":") if compact else (", ", ": "))
    key = ',"cluster":"c"' if compact else ', "cluster": "c"'

    assert held_to("rows.jsonl", line.encode(), {"a": "c"}).decode() == f"{line[:-1]}{key}}}"


@given(ROWS, st.data(), st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(["", "\n", "\n \n"]))
def test_json_rows_gain_a_key_and_nothing_else(
    rows: list[dict[str, object]], data: st.DataObject, compact: bool, line_end: str, rest: str
) -> None:
    separators = (",", ":") if compact else (", ", ": ")
    lines = [json.dumps(row, ensure_ascii=compact, separators=separators) for row in rows]
    text = "\ufeff" + (line_end + rest).join(lines) + rest
    ids = data.draw(st.lists(st.sampled_from([str(row["id"]) for row in rows]), unique=True))
    clusters = {one: data.draw(NAMES) for one in ids}

    written = held_to("rows.jsonl", text.encode(), clusters).decode()

    colon = ":" if compact else ": "
    for row, line in zip(rows, lines, strict=True):
        if row["id"] in clusters:
            key = f'{separators[0]}"cluster"{colon}{json.dumps(clusters[str(row["id"])], ensure_ascii=False)}'
            new = line[:-1] + key + "}"
            assert new in written
            written = written.replace(new, line, 1)
    assert written == text


@given(st.data())
def test_csv_rows_gain_a_cell_and_nothing_else(data: st.DataObject) -> None:
    delimiter, line_end = data.draw(st.sampled_from(",;\t")), data.draw(st.sampled_from(["\n", "\r\n"]))
    nameless, column = data.draw(st.integers(0, 2)), data.draw(st.booleans())
    header = ["id", "question", *(["cluster", "more"] if column else []), *[""] * nameless]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=line_end, quoting=data.draw(st.sampled_from([0, 1])))
    writer.writerow(header)
    count = data.draw(st.integers(1, 6))
    for number in range(count):
        cells = [f"c{number}", data.draw(CELLS), *(["", data.draw(CELLS)] if column else []), *[""] * nameless]
        writer.writerow(cells)
    text = data.draw(st.sampled_from(["", f"sep={delimiter}{line_end}", "\ufeff"])) + out.getvalue()
    clusters = {
        f"c{number}": data.draw(CELLS.map(str.strip).filter(bool))
        for number in range(count)
        if data.draw(st.booleans())
    }

    written = held_to("rows.csv", text.encode(), clusters)

    def without(cells: list[str]) -> list[str]:
        rest = cells[:2] + cells[3:] if len(cells) > 2 else cells
        while len(rest) > 2 + column and not rest[-1]:
            rest.pop()
        return rest

    read = [list(csv.reader(io.StringIO(one, newline=""), delimiter=delimiter)) for one in (text, written.decode())]
    assert [without(cells) for cells in read[0]] == [without(cells) for cells in read[1]]
