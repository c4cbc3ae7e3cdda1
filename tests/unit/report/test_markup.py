"""Nothing can be written into a page that runs, loads or breaks out of where it stands."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.report.html.markup import Markup, data, el, join


@given(st.text())
def test_text_never_becomes_markup(text: str) -> None:
    made = el("p", text, title=text)

    assert re.fullmatch(r'<p title="[^"<]*">[^<>]*</p>', made, re.DOTALL)


@given(st.text())
def test_data_never_ends_its_block(text: str) -> None:
    assert data("rows", text).count("<") == 2


@pytest.mark.parametrize(
    "attributes",
    [
        {"onclick": "alert(1)"},
        {"style": "x"},
        {"src": "http://127.0.0.1/"},
        {"href": "javascript:alert(1)"},
        {"href": "http://127.0.0.1/"},
        {'x">': "y"},
        {"ONLOAD": "y"},
    ],
    ids=str,
)
def test_what_could_run_or_load_cannot_be_written(attributes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"here|place"):
        el("a", "text", **attributes)


def test_scripts_and_frames_are_no_elements() -> None:
    for name in ("script", "style", "iframe", "b onclick"):
        with pytest.raises(ValueError, match="no element"):
            el(name)


def test_children_may_be_nested_and_absent() -> None:
    assert join(["a", None, [1, el("b", "<")]]) == Markup("a1<b>&lt;</b>")
