"""Datasets: the fast reader is the strict one, order means nothing to the digest, and rows come back as written."""

import csv
import io
import json
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalh.core.case import Case
from evalh.core.errors import EvalhError, ExitCode
from evalh.workspace import files as lines_module
from evalh.workspace.config import Config
from evalh.workspace.dataset.csv_rows import Csv
from evalh.workspace.dataset.dataset import Dataset, open_dataset
from evalh.workspace.dataset.index import Hashes, RowIndex, blocks
from evalh.workspace.dataset.jsonl_rows import JsonLines, strict_case
from evalh.workspace.files import ByteRange, read_lines


class OneFile:
    """A revision that holds one file in memory."""

    revision = "HEAD"

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data

    def read(self, path: str) -> bytes:
        return self.data

    def exists(self, path: str) -> bool:
        return path == self.path

    def names(self, folder: str) -> list[str]:
        return []


TEXT = st.text(max_size=12)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"id": st.text(max_size=8).filter(str.strip), "inputs": st.dictionaries(TEXT, JSON, max_size=3)},
        optional={"expected": JSON, "tags": st.lists(st.text(min_size=1, max_size=5), max_size=3)},
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row["id"],
)
NUMBERS = st.sampled_from(
    ["0", "-0", "-0.0", "1.0", "1e5", "1E-7", "1e400", "0.1", "9007199254740993", "18446744073709551616", "5e-324"]
    + [
        "123456789012345678901234567890",
        "1.7976931348623159e308",
        "0.30000000000000004",
        "01",
        "1.",
        "NaN",
        "-Infinity",
    ]
)
STRINGS = st.sampled_from(
    [
        '"a"',
        '" "',
        '"\\""',
        '"\\u0022\\u0022"',
        '"\\\\"',
        '"\\\\u0022"',
        '"\\ud83d\\ude00"',
        '"\\ud800"',
        '"ä"',
        '"\u2028"',
        '""',
        '"\\/"',
    ]
    + ['"\\u0061"', "'a'", '"\x01"', '"\x7f"', '"\\u0000"', '"é\\n"']
)


@st.composite
def json_texts(draw: st.DrawFn, depth: int = 2) -> str:
    """JSON as a person or a program may write it: with duplicates, odd escapes and odd numbers."""
    kind = draw(
        st.sampled_from(["number", "string", "word", "list", "object"] if depth else ["number", "string", "word"])
    )
    gap = draw(st.sampled_from(["", "", " ", "\t"]))
    if kind in ("list", "object"):
        inner = json_texts(depth=depth - 1)
        parts = [draw(inner) for _ in range(draw(st.integers(0, 3)))]
        if kind == "object":
            parts = [f"{draw(STRINGS)}{gap}:{part}" for part in parts]
        ends = "[]" if kind == "list" else "{}"
        return ends[0] + f",{gap}".join(parts) + ends[1]
    words = st.sampled_from(["null", "true", "false"])
    return gap + draw({"number": NUMBERS, "string": STRINGS, "word": words}[kind])


@st.composite
def row_texts(draw: st.DrawFn) -> str:
    """Rows that are right, nearly right and wrong."""
    keys = ['"id"', '"inputs"', '"expected"', '"tags"', '"\\u0069d"', '"other"']
    good = {
        '"id"': STRINGS,
        '"inputs"': json_texts().map(lambda text: f'{{"x":{text}}}'),
        '"tags"': st.sampled_from(["[]", '["a"]', '["a","a"]', '[""]', "null", "[1]"]),
    }
    chosen = draw(st.lists(st.sampled_from(keys), min_size=2, max_size=5))
    pairs = [f"{key}: {draw(good.get(key, json_texts()))}" for key in chosen]
    return "{" + ", ".join(pairs) + "}" + draw(st.sampled_from(["", "\n", " \r\n", ",", "}"]))


def outcome(read: object, span: ByteRange) -> object:
    """A case, exactly (1 is not 1.0); or that there is none."""
    try:
        case = read(span)  # type: ignore[operator]
    except EvalhError as exc:
        assert exc.exit_code is ExitCode.USAGE
        assert exc.where == "f:7"
        return None
    return repr((case.id, case.inputs, case.expected, sorted(case.tags), case.where))


@settings(max_examples=300)
@given(row_texts())
def test_the_fast_reader_reads_what_the_strict_one_reads(text: str) -> None:
    assert_read_alike(text)


@pytest.mark.slow
@settings(max_examples=1000)
@given(row_texts())
def test_the_fast_reader_reads_what_the_strict_one_reads_however_long_one_looks(text: str) -> None:
    assert_read_alike(text)


def assert_read_alike(text: str) -> None:
    span = ByteRange(0, 7, text.encode())

    assert outcome(JsonLines("f", 0).case, span) == outcome(lambda one: strict_case(one, "f"), span)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**40), 10**40))
def test_the_fast_reader_keeps_numbers_exact(number: float) -> None:
    for text in (json.dumps(number), f"{number:.17e}" if isinstance(number, float) else f"{number}"):
        span = ByteRange(0, 7, f'{{"id": "a", "inputs": {{"n": {text}}}}}'.encode())

        assert outcome(JsonLines("f", 0).case, span) == outcome(lambda one: strict_case(one, "f"), span)


@given(st.binary(max_size=120) | row_texts().map(str.encode))
def test_any_bytes_are_a_dataset_or_an_error_with_a_place(data: bytes) -> None:
    for name in ("d.jsonl", "d.csv"):
        try:
            dataset = open_dataset(OneFile(name, data), Config(), name)
        except EvalhError as exc:
            assert exc.exit_code is ExitCode.USAGE
            assert str(exc.where).startswith(f"HEAD:{name}")
        else:
            assert len(list(dataset)) == len(dataset) > 0


def opened(name: str, data: str) -> Dataset:
    return Dataset(OneFile(name, data.encode()), name)


def documents(dataset: Dataset) -> list[object]:
    return [case.document() for case in dataset]


@given(ROWS, st.booleans(), st.sampled_from(["\n", "\r\n", "\r", "\n\n"]), st.randoms(use_true_random=False))
def test_datasets_come_back_as_written_in_any_order(
    rows: list[dict[str, object]], ascii_only: bool, end: str, rng: random.Random
) -> None:
    for row in rows:
        row["tags"] = sorted(set(row.get("tags", ())))  # type: ignore[call-overload]
    texts = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    shuffled = rng.sample(texts, len(texts))

    dataset = opened("d.jsonl", end.join(texts))

    assert [json.dumps(one) for one in documents(dataset)] == [
        json.dumps({key: value for key, value in row.items() if key != "tags" or value})
        for row in ({key: row[key] for key in ("id", "inputs", "expected", "tags") if key in row} for row in rows)
    ]
    assert opened("d.jsonl", "\n".join(shuffled)).digest == dataset.digest
    for case in dataset:
        assert dataset.find(case.id) == case
    if len(rows) > 1:
        assert opened("d.jsonl", "\n".join(texts[1:])).digest != dataset.digest


CELLS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(
    st.lists(
        st.tuples(CELLS.filter(str.strip), CELLS, CELLS), min_size=1, max_size=8, unique_by=lambda row: normal(row[0])
    ),
    # The writer quotes a lone \r only where lines end in it.
    st.sampled_from([("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]),
)
def test_csv_cells_come_back_as_written(rows: Sequence[tuple[str, str, str]], form: tuple[str, int]) -> None:
    end, quoting = form
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(["id", "ticket", "expected.label"])
    writer.writerows(rows)

    dataset = opened("d.csv", file.getvalue())

    expected = [tuple(map(normal, row)) for row in rows]
    assert [(case.id, case.inputs["ticket"], label(case)) for case in dataset] == expected
    for case_id, *_ in expected:
        assert dataset.find(case_id).id == case_id


def normal(cell: str) -> str:
    return cell.replace("\r\n", "\n").replace("\r", "\n")


def label(case: Case) -> str:
    return case.expected["label"] if isinstance(case.expected, dict) else ""


@given(
    st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n", b"\x0b", b"\xe2\x80\xa8", b"bb"])).map(b"".join),
    st.integers(1, 9),
    st.integers(0, 4),
)
def test_lines_are_the_same_however_the_file_is_cut(data: bytes, chunk: int, skipped: int) -> None:
    before = (lines_module.FIRST_CHUNK_BYTES, lines_module.CHUNK_BYTES)
    lines_module.FIRST_CHUNK_BYTES = lines_module.CHUNK_BYTES = chunk
    try:
        spans = list(read_lines(io.BytesIO(b"-" * skipped + data), "f", skipped, 3))
    finally:
        lines_module.FIRST_CHUNK_BYTES, lines_module.CHUNK_BYTES = before

    assert [span.raw for span in spans] == data.splitlines(keepends=True)
    assert [span.line for span in spans] == list(range(3, 3 + len(spans)))
    for span in spans:
        assert data[span.offset - skipped :].startswith(span.raw)


@given(st.lists(st.integers(0, 40)), st.integers(1, 600))
def test_an_id_that_came_twice_is_always_suspected(ids: list[int], hashes: int) -> None:
    found = Hashes(hash_of=lambda text: int(text) % hashes - 2)
    for number in ids:
        found.add(str(number))

    repeated = found.repeated()

    times = Counter(number % hashes for number in ids)
    assert {number for number in ids if repeated and repeated(str(number))} == {
        number for number in ids if times[number % hashes] > 1
    }


@given(
    st.lists(st.binary(min_size=1, max_size=3), max_size=300), st.integers(0, 299), st.binary(min_size=1, max_size=3)
)
def test_rows_are_given_again_as_long_as_they_are_the_same(rows: list[bytes], place: int, other: bytes) -> None:
    index = RowIndex()
    for block in blocks(ByteRange(0, 1, raw) for raw in rows):
        index.add(block)
    changed = [*rows[:place], other, *rows[place + 1 :]]

    again = list(index.same(blocks(ByteRange(0, 1, raw) for raw in changed)))

    assert len(index) == len(rows)
    given_back = [span.raw for block in again if block is not None for span in block]
    assert given_back == rows[: len(given_back)]
    assert (None in again) == (changed != rows)


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b'"', b'""', b",", b"\xc3\xa4"]), max_size=40),
    st.integers(1, 7),
)
def test_records_are_the_same_however_the_file_is_cut(pieces: list[bytes], chunk: int) -> None:
    data = b"id,x\n" + b"".join(pieces)
    wanted: list[tuple[int, bytes]] = []
    held, begun = b"", 1
    for number, raw in enumerate(data.splitlines(keepends=True), 1):
        begun = number if not held else begun
        held += raw
        if held.count(b'"') % 2 == 0:
            wanted.append((begun, held))
            held = b""
    before = (lines_module.FIRST_CHUNK_BYTES, lines_module.CHUNK_BYTES)
    lines_module.FIRST_CHUNK_BYTES = lines_module.CHUNK_BYTES = chunk
    try:
        table = Csv(io.BytesIO(data), "d.csv", 0)
        found = []
        try:
            found = [(span.line, span.raw) for span in table._records(io.BytesIO(data), 0, 1)]
        except EvalhError as exc:
            assert held
            assert exc.where == f"d.csv:{begun}"
            return
    finally:
        lines_module.FIRST_CHUNK_BYTES, lines_module.CHUNK_BYTES = before

    assert not held
    assert found == wanted
