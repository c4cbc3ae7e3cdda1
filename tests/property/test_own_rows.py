"""Guessing what columns are: no rows crash it, and their order changes nothing."""

import json
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command_line import command_line
from evalh.core.errors import EvalhError
from evalh.interop.foreign.layout import version_text
from evalh.interop.foreign.rows import read_suite
from evalh.interop.foreign.transfer import ImportRequest

NAMES = st.sampled_from(
    ("id", "ID", "text", "Text", "label", "expected", "Answer", "output", "prediction", "tags", "cluster", "inputs")
    + ("messages", "expected.a", "expected.b", "a b", "{{x}}", "../x", "", "Größe", "日本", "if", "Unnamed: 0")
) | st.text(max_size=8)  # fmt: skip
TEXTS = st.sampled_from(
    ("a", "b", "yes", "42", "1,234", "#### 72", "", " ", "a\nb", "{{role}}", "\x1b[31m", "word " * 20)
)
PLAIN = TEXTS | st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=4
)
FREE = st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=5), min_size=1, max_size=8)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw rows with the same columns, as people have them."""
    names = draw(st.lists(NAMES, min_size=2, max_size=4, unique=True))
    cells = [draw(st.sampled_from((TEXTS, st.booleans(), st.integers(0, 4), VALUES))) for _ in names]
    return [
        {name: draw(cell) for name, cell in zip(names, cells, strict=True)} for _ in range(draw(st.integers(1, 20)))
    ]


ROWS = FREE | tables()


def brought(rows: list[dict[str, Any]], folder: Path) -> Any:
    """Import rows; return the guess and the files that hold it, or what refused them."""
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    request = ImportRequest(source=source, into=folder, name=None, allow_code=False, taken=frozenset())
    try:
        transfer = read_suite(request)
        cases = [json.dumps(row, sort_keys=True) for row in transfer.datasets[0].rows]
    except EvalhError as exc:
        return type(exc), exc.what
    prompt = version_text(transfer.prompts["rows"][0])
    inputs = sorted(json.dumps(json.loads(one)["inputs"], sort_keys=True) for one in cases)
    return transfer.columns, prompt, transfer.suites, inputs


@given(ROWS, st.randoms(use_true_random=False))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_the_order_of_rows_does_not_change_the_guess(rows: list[dict[str, Any]], random: Random) -> None:
    shuffled = [*rows]
    random.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as folder:
        assert brought(rows, Path(folder)) == brought(shuffled, Path(folder))


@given(ROWS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_is_written_passes_the_check_whatever_the_rows(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "rows.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        done = command_line()(folder, "import", "rows", str(source), "--into", f"{folder}/out")
        checked = command_line()(f"{folder}/out", "check") if done.code != 2 else done

    assert done.code in (0, 1, 2), done.err
    assert checked.code == (2 if done.code == 2 else 0), checked.out + checked.err
