"""The `doubt` key is written into a suite, and nothing else in it changes."""

import pytest

from evalh.api.scaffold import with_doubt
from evalh.core.suite import Doubt

SUITE = "# ours\nprompt: q\ndataset: q\ngraders: [schema]\n"


@pytest.mark.parametrize(
    ("gate", "new"),
    [
        ("", "gate:\n  doubt: refuse\n"),
        ("# the end", "# the end\ngate:\n  doubt: refuse\n"),
        ("gate:\n  margin: 0.1  # wide\n", "gate:\n  doubt: refuse\n  margin: 0.1  # wide\n"),
        ("gate:\n    # wide\n\n    margin: 0.1\n", "gate:\n    doubt: refuse\n    # wide\n\n    margin: 0.1\n"),
        ("gate: # of ours\n  margin: 0.1", "gate: # of ours\n  doubt: refuse\n  margin: 0.1"),
        ("gate:", "gate:\n  doubt: refuse\n"),
        ("gate: {margin: 0.1}\n", "gate: {doubt: refuse, margin: 0.1}\n"),
        ("gate: { }\nowner: me\n", "gate: {doubt: refuse }\nowner: me\n"),
        ("gate:\n  never: {pii: 0.1}\nowner: me\n", "gate:\n  doubt: refuse\n  never: {pii: 0.1}\nowner: me\n"),
        ("gate: {margin: 0.1,\n  trials: 3}\n", "gate: {doubt: refuse, margin: 0.1,\n  trials: 3}\n"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_suite_gains_the_key_and_keeps_the_rest(gate: str, new: str, end: str) -> None:
    text, wanted = ((SUITE + one).replace("\n", end) for one in (gate, new))

    assert with_doubt(text, "evals/q.yaml", Doubt.REFUSE) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "{prompt: q, dataset: q, graders: [schema]}\n",
        SUITE + "...\n",
        SUITE + '"gate": {margin: 0.1}\n',
        SUITE + "gate:\n  {margin: 0.1}\n",
        SUITE + "owner: >\n  me\n\n",
        "prompt: |\n  gate:\ngate: {margin: 0.1}\n",
        "- gate\n",
        "[[[",
    ],
)
def test_a_file_is_never_made_to_say_anything_else(text: str) -> None:
    new = with_doubt(text, "evals/q.yaml", Doubt.REFUSE)

    if new is not None:
        from evalh.workspace.yaml import parse_yaml

        old, now = (parse_yaml(one, "q").value for one in (text, new))
        assert isinstance(old, dict)
        assert now == {**old, "gate": {**old.get("gate", {}), "doubt": "refuse"}}
