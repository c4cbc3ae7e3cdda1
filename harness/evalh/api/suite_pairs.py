"""Which suite on head is which one of base's: a suite that is renamed is still held to what it was."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from evalh.core.errors import EvalhError
from evalh.core.ports import Tree
from evalh.core.values import Value
from evalh.workspace.suites import suite_names, suite_path
from evalh.workspace.trees import content

if TYPE_CHECKING:
    from evalh.api.sides import Sides
    from evalh.api.workspace import Workspace

_ALIKE = 0.5  # of the lines: git's own measure of a rename
_SAME_BOTH, _SAME_PROMPT = 2.0, 0.1  # a prompt and a dataset in common go before any likeness


class SuitePairs(Value, kw_only=True):
    """Suites by name. `kept` says for each suite on head which one of base's it is."""

    kept: Mapping[str, str]
    new: tuple[str, ...]
    removed: tuple[str, ...]

    def named(self, names: Iterable[str]) -> "SuitePairs":
        """Return those that are meant by names on either side; all for none."""
        wanted = frozenset(names)
        if not wanted:
            return self
        return SuitePairs(
            kept={head: base for head, base in self.kept.items() if wanted & {head, base}},
            new=tuple(name for name in self.new if name in wanted),
            removed=tuple(name for name in self.removed if name in wanted),
        )


def suite_pairs(sides: "Sides") -> SuitePairs:
    """Pair the suites of both sides: by name, else by prompt and dataset, else by what their files say."""
    before = sides.base
    on_base = () if before is None else before.suites()
    tree = sides.head.tree if sides.stranger is None else sides.stranger.tree
    config = sides.head.config
    on_head = suite_names(tree, config)
    kept = {name: name for name in on_head if name in on_base}
    gone = [name for name in on_base if name not in kept]
    new = [name for name in on_head if name not in kept]
    if before is not None:
        texts = {
            "base": {name: _lines(before.tree, suite_path(before.config, name)) for name in gone},
            "head": {name: _lines(tree, suite_path(config, name)) for name in new},
        }
        trusted = sides.head if sides.stranger is None else None
        alike = [
            (_likeness(before, base, trusted, head, texts["base"][base], texts["head"][head]), base, head)
            for base in gone
            for head in new
        ]
        for likeness, base, head in sorted(alike, reverse=True):
            if likeness > 0 and base in gone and head in new:
                kept[head] = base
                gone.remove(base)
                new.remove(head)
    return SuitePairs(kept=kept, new=tuple(new), removed=tuple(gone))


def _likeness(
    before: "Workspace",
    base: str,
    after: "Workspace | None",
    head: str,
    old: Counter[bytes],
    new: Counter[bytes],
) -> float:
    shared = (old & new).total() / max(old.total(), new.total(), 1)
    share = shared if shared >= _ALIKE else 0.0
    if after is None:  # a stranger's suite is text, and nothing else
        return share
    try:
        was, now = before.suite(base), after.suite(head)
    except EvalhError:
        return share
    if was.prompt != now.prompt:
        return share
    return shared + (_SAME_BOTH if was.dataset == now.dataset else _SAME_PROMPT)


def _lines(tree: Tree, path: str) -> Counter[bytes]:
    return Counter(line.strip() for line in (content(tree, path) or b"").splitlines() if line.strip())
