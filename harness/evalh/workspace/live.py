"""What is read of a stranger's evalh.toml: which versions are live. No other key is known here.

Whatever else it says differently is only named. Nothing of it is built, loaded, asked or looked up.
"""

from collections.abc import Iterator, Mapping

from evalh.core.errors import WorkspaceError
from evalh.core.ports import Tree
from evalh.core.prompt import version_number
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.workspace.config import CONFIG_NAME
from evalh.workspace.files import label, read_text
from evalh.workspace.toml import parse_toml

_MOST_CHARACTERS = 1_000_000


class Live(Value, kw_only=True):
    """Which versions head takes live, and what else its file says differently."""

    live: Mapping[str, str]  # prompt → version
    differs: tuple[str, ...] = ()  # keys with dots: models.small.base_url


def read_live(head: Tree, base: Tree) -> Live:
    """Read head's file beside base's. Raises WorkspaceError if base's cannot be read."""
    before = _document(base)
    try:
        after = _document(head)
    except WorkspaceError as exc:
        return Live(live=dict(_live(before)), differs=(f"all of it, which cannot be read: {exc.what}",))
    old, new = dict(_leaves(before)), dict(_leaves(after))
    differs = [key for key in {*old, *new} if repr(old.get(key)) != repr(new.get(key)) and not _is_live(key, old, new)]
    return Live(live=dict(_live(after)), differs=tuple(".".join(key) for key in sorted(differs)))


def _is_live(key: tuple[str, ...], *documents: Mapping[tuple[str, ...], JsonValue]) -> bool:
    """Whether a key says which version is live, in every file that has it."""
    names_it = len(key) == 3 and key[0] == "prompts" and key[2] == "live"  # noqa: PLR2004 (prompts.NAME.live)
    return names_it and all(_is_version(document[key]) for document in documents if key in document)


def _is_version(value: JsonValue) -> bool:
    return isinstance(value, str) and version_number(value) is not None


def _document(tree: Tree) -> Mapping[str, JsonValue]:
    text = read_text(tree, CONFIG_NAME)
    if len(text) > _MOST_CHARACTERS:
        raise WorkspaceError(f"is longer than {_MOST_CHARACTERS:,} characters", where=label(tree, CONFIG_NAME))
    value = parse_toml(text, label(tree, CONFIG_NAME)).value
    return value if isinstance(value, dict) else {}


def _live(document: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    prompts = document.get("prompts")
    for name, table in prompts.items() if isinstance(prompts, dict) else ():
        live = table.get("live") if isinstance(table, dict) else None
        if isinstance(live, str) and _is_version(live):
            yield name, live


def _leaves(value: JsonValue) -> Iterator[tuple[tuple[str, ...], JsonValue]]:
    """Yield every value that is not a table, and every empty table but a prompt's, with its keys."""
    waiting: list[tuple[tuple[str, ...], JsonValue]] = [((), value)]
    while waiting:
        path, one = waiting.pop()
        if isinstance(one, dict) and one:
            waiting += [((*path, key), inner) for key, inner in one.items()]
        elif path and not (one == {} and path[0] == "prompts"):
            yield path, one
