"""Cases that look alike, for people and for programs."""

from rich.console import Console
from rich.padding import Padding

from evalh.analysis.near_duplicates import Proposal, Proposals
from evalh.core.strict_json import JsonValue
from evalh.report.text import StyledText, in_clusters, json_line, one_line, safe

_SHOWN = 20
_WIDTH = 92


def proposals_document(found: Proposals, written: str | None = None) -> dict[str, JsonValue]:
    """Return the document of `evalh dataset clusters --json`."""
    return {
        "schema": "evalh.clusters/1",
        "dataset": found.dataset,
        "cases": found.cases,
        "clusters": found.clusters,
        "proposed": [{"cluster": one.cluster, "cases": list(one.cases)} for one in found.proposed],
        "written": written,
    }


def show_proposals(console: Console, found: Proposals) -> None:
    """Print which cases look alike, the largest group first, and what to write."""
    console.print(StyledText.assemble((safe(found.dataset), "bold"), f": {in_clusters(found.cases, found.clusters)}"))
    if not found.proposed:
        console.print("no cases look alike")
        return
    for one in found.proposed[:_SHOWN]:
        console.print()
        console.print(StyledText(f"{len(one.cases)} cases look alike  ", "bold").append(_listed(one), "dim"))
        for text in one.texts:
            console.print(Padding(StyledText(one_line(text, _WIDTH)), (0, 0, 0, 2)))
        console.print(Padding(StyledText(f'in each row: "cluster": {json_line(one.cluster)}', "dim"), (0, 0, 0, 2)))
    if len(found.proposed) > _SHOWN:
        console.print()
        console.print(StyledText(f"and {len(found.proposed) - _SHOWN} more: --json", "dim"))


def _listed(one: Proposal) -> str:
    more = len(one.cases) - 6
    return ", ".join(one_line(case, 24) for case in one.cases[:6]) + (f" and {more} more" if more > 0 else "")
