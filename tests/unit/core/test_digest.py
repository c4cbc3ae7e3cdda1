import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.core.digest import RowsDigest, canonical, digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=6))
def test_the_order_of_keys_does_not_change_a_digest(mapping: dict) -> None:
    assert digest(mapping) == digest(dict(reversed(mapping.items())))


@given(JSON, JSON)
def test_canonical_texts_differ_where_values_do(one: object, other: object) -> None:
    if canonical(one) == canonical(other):
        assert one == other


def test_integers_of_any_size_stay_exact() -> None:
    assert canonical({"n": 12345678901234567890123}) == b'{"n":12345678901234567890123}'
    assert digest(12345678901234567890123) != digest(12345678901234567890124)


def test_a_lone_surrogate_has_a_digest() -> None:
    assert digest("\ud800") != digest("\ud801")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, {"x": float("-inf")}])
def test_what_json_cannot_carry_has_no_digest(value: object) -> None:
    with pytest.raises(TypeError):
        canonical(value)


@given(st.lists(JSON, max_size=6), st.randoms())
def test_rows_have_one_digest_in_any_order(rows: list, random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)

    assert _rows(rows) == _rows(shuffled)


@given(st.lists(JSON, min_size=1, max_size=6))
def test_a_row_more_or_twice_changes_the_digest(rows: list) -> None:
    assert _rows(rows) != _rows([*rows, rows[0]])


def _rows(rows: list) -> str:
    state = RowsDigest()
    for row in rows:
        state.add(row)
    return state.value()
