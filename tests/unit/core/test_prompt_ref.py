import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.core.errors import UsageError
from evalh.core.prompt import PromptRef


@pytest.mark.parametrize(
    ("text", "name", "version", "revision"),
    [
        ("v3", None, "v3", None),
        ("draft", None, "draft", None),
        ("triage", "triage", None, None),
        ("triage@v3", "triage", "v3", None),
        ("triage@draft", "triage", "draft", None),
        ("HEAD~2:triage@v3", "triage", "v3", "HEAD~2"),
        ("main:triage", "triage", None, "main"),
        ("origin/main:v2", None, "v2", "origin/main"),
        ("v10", None, "v10", None),
    ],
)
def test_a_reference_reads_as_people_write_it(text: str, name: str, version: str, revision: str) -> None:
    ref = PromptRef.parse(text)

    assert (ref.name, ref.version, ref.revision) == (name, version, revision)
    assert str(ref) == text


@pytest.mark.parametrize("text", ["", "triage@", "triage@three", "triage@v0", ":triage", "main:", "a b", "@"])
def test_what_names_no_version_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        PromptRef.parse(text)
    assert "HEAD~2:triage@v3" in (caught.value.hint or "")


@given(st.text())
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        ref = PromptRef.parse(text)
    except UsageError:
        return
    assert PromptRef.parse(str(ref)) == ref
