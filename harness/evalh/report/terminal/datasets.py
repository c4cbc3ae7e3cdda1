"""Which cases of a dataset are alike, and what was written of it."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding

from evalh.analysis.compare.comparison import listed
from evalh.analysis.duplicates import Duplicate, Duplicates
from evalh.analysis.near_duplicates import Proposal, Proposals
from evalh.analysis.subsets import DatasetParts
from evalh.report.terminal.console import StyledText
from evalh.report.text import in_clusters, json_line, one_line, plural, safe

_GROUPS_SHOWN = 20
_WIDTH = 92
_ID = 24


def show_proposals(console: Console, found: Proposals) -> None:
    """Print which cases look alike, the largest group first, and what to write."""
    console.print(StyledText.assemble((found.dataset, "bold"), f": {in_clusters(found.cases, found.clusters)}"))
    if not found.proposed:
        console.print("no cases look alike")
        return
    _show_groups(console, found.proposed, named=True)


def _show_groups(console: Console, groups: Sequence[Proposal], *, named: bool) -> None:
    for one in groups[:_GROUPS_SHOWN]:
        alike = listed([one_line(case, _ID) for case in one.cases], 6)
        console.print()
        console.print(StyledText(f"{len(one.cases)} cases look alike  ", "bold").append(alike, "dim"))
        for text in one.texts:
            console.print(Padding(StyledText(one_line(text, _WIDTH)), (0, 0, 0, 2)))
        if named:
            console.print(Padding(StyledText(f'in each row: "cluster": {json_line(one.cluster)}', "dim"), (0, 0, 0, 2)))
    if len(groups) > _GROUPS_SHOWN:
        console.print()
        console.print(StyledText(f"and {len(groups) - _GROUPS_SHOWN} more: --json", "dim"))


def show_duplicates(console: Console, found: Duplicates, written: str | None) -> None:
    """Print which rows repeat an earlier one, and which cases are nearly the same."""
    told = "no two rows have equal inputs"
    if found.equal:
        repeat = "row repeats" if len(found.equal) == 1 else "rows repeat"
        told = f"{len(found.equal):,} {repeat} the inputs of an earlier one"
    console.print(StyledText.assemble((found.dataset, "bold"), f": {plural(found.cases, 'case')}, {told}"))
    if found.equal:
        console.print()
    for one in found.equal[:_GROUPS_SHOWN]:
        console.print(_line(one), soft_wrap=True)
    if len(found.equal) > _GROUPS_SHOWN:
        console.print(StyledText(f"and {len(found.equal) - _GROUPS_SHOWN} more: --json", "dim"))
    _show_groups(console, found.near, named=False)
    if written is not None:
        console.print()
        console.print(StyledText(f"wrote {written}: {plural(len(found.equal), 'row')} removed"), soft_wrap=True)


def _line(one: Duplicate) -> StyledText:
    where = f"  {safe(one.where)}  repeats {one_line(one.first, _ID)}"
    text = StyledText.assemble((one_line(one.id, _ID), "bold"), where)
    return text if one.own is None else text.append(f", but {one.own}", "yellow")


def show_parts(console: Console, written: DatasetParts) -> None:
    """Print the files that were written, and how many cases each has."""
    whole = in_clusters(written.cases, written.clusters)
    console.print(StyledText.assemble((written.dataset, "bold"), f": {whole}, seed {written.seed}"))
    for one in written.parts:
        console.print(StyledText(f"wrote {safe(one.path)}: {in_clusters(one.cases, one.clusters)}"), soft_wrap=True)
