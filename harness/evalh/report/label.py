"""What a person who labels is shown. Nothing here tells who wrote the output."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.rule import Rule

from evalh.core.case import ABSENT, Case
from evalh.core.digest import JsonValue
from evalh.core.label import GOOD, Candidate, Label
from evalh.core.request import ToolCall
from evalh.report.console import Text, block, named
from evalh.report.text import json_line, safe


def show_question(
    console: Console, case: Case, text: str, tool_calls: Sequence[ToolCall], *, title: str, expected: bool
) -> None:
    """Print one row and one output."""
    console.print(Rule(title, align="left", style="dim"))
    for name, value in case.inputs.items():
        console.print(named(name, value if isinstance(value, str) else json_line(value)))
    if expected and case.expected is not ABSENT:
        console.print(Text.assemble(("expected  ", "dim"), json_line(case.expected)))
    console.print(Rule("output", align="left", style="dim"))
    console.print(block(text, "bold") if text else Text("(empty)", "dim"))
    for call in tool_calls:
        console.print(block(f"{call.name}({call.arguments})", "bold"))


def labels_document(
    suite: str, about: str, candidates: Sequence[Candidate], labels: Sequence[Label]
) -> dict[str, JsonValue]:
    """Return the document of `evalh label --json`: what is there to be labelled, and who labelled what."""
    shown = {candidate.shown: candidate.stratum for candidate in candidates}
    labelled = {label.item[1:] for label in labels}
    strata = Counter(shown.values())
    done = Counter(stratum for item, stratum in shown.items() if item in labelled)
    authors = Counter(label.author for label in labels)
    return {
        "schema": "evalh.labels/1",
        "suite": suite,
        "about": about,
        "outputs": len(shown),
        "labelled": sum(done.values()),
        "strata": [{"stratum": name, "outputs": strata[name], "labelled": done[name]} for name in sorted(strata)],
        "authors": [{"author": name, "labels": authors[name]} for name in sorted(authors)],
        "of_other_outputs": len(labelled - set(shown)),
    }


def show_status(console: Console, document: dict[str, JsonValue]) -> None:
    """Print how far the labelling has come."""
    asked = "is this output good?" if document["about"] == GOOD else f"would it pass {document['about']}?"
    console.print(Text.assemble((safe(document["suite"]), "bold"), f" · {safe(asked)}"))
    console.print(f"{document['labelled']} of {document['outputs']} distinct outputs are labelled")
    for row in document["strata"]:
        console.print(Text(f"  {row['stratum']:10s} {row['labelled']} of {row['outputs']}", "dim"))
    for row in document["authors"]:
        console.print(Text(f"  {safe(row['author'])}  {row['labels']} labels", "dim"))
    if document["of_other_outputs"]:
        text = f"{document['of_other_outputs']} labels are of outputs that the log does not hold (any more)"
        console.print(Text(text, "yellow"))
