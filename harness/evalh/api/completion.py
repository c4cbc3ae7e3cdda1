"""What a shell completes: the workspace's names, found by looking at files, without reading more than it must.

Called at every press of Tab: nothing is checked, nothing is written, and what cannot be read has no names.
"""

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evalh.api.files import store_folder_of
from evalh.core.values import Value

_CONFIG = "evalh.toml"
_MOST = 200
_PLAIN = re.compile(r"[\w@./:+-]+")
"""A name with anything else in it is not offered: a shell would read it as more than a name."""


class Name(Value):
    """One name, and what is said beside it where a shell shows that."""

    text: str
    about: str | None = None


class _Place(Value):
    root: Path
    tables: Mapping[str, Any]

    def folder(self, key: str) -> Path:
        """Return one of the workspace's folders."""
        return self.root / str(self.tables.get("workspace", {}).get(key, key))


def names(kind: str, folder: str, begins: str) -> list[Name]:
    """Return the names of a kind that begin so: suites, datasets, prompts, versions, models, runs, cases."""
    try:
        place = _place(Path(folder))
        found = () if place is None else _KINDS[kind](place, begins)
        fitting = (one for one in found if one.text.startswith(begins) and _PLAIN.fullmatch(one.text))
        return [one for one, _ in zip(fitting, range(_MOST), strict=False)]
    except (OSError, ValueError, AttributeError, TypeError, KeyError):  # a file is wrong: `evalh check` says which
        return []


def _place(start: Path) -> _Place | None:
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / _CONFIG).is_file():
            return _Place(folder, tomllib.loads((folder / _CONFIG).read_text("utf-8-sig")))
    return None


def _suites(place: _Place, _begins: str) -> Iterator[Name]:
    folder = place.folder("evals")
    yield from (Name(name) for name in _files(folder, (".yaml", ".yml")))


def _datasets(place: _Place, _begins: str) -> Iterator[Name]:
    files = dict.fromkeys(_files(place.folder("datasets"), (".jsonl", ".csv")))
    yield from (Name(name) for name in files if not name.startswith("labels/"))  # people's, of `evalh label`


def _prompts(place: _Place, _begins: str) -> Iterator[Name]:
    yield from (Name(prompt) for prompt in dict.fromkeys(prompt for prompt, _ in _prompt_files(place)))


def _versions(place: _Place, _begins: str) -> Iterator[Name]:
    found = list(_prompt_files(place))
    yield from (Name(version) for version in dict.fromkeys(version for _, version in found))
    yield from (Name(f"{prompt}@{version}") for prompt, version in found)


def _models(place: _Place, _begins: str) -> Iterator[Name]:
    for name, table in place.tables.get("models", {}).items():
        yield Name(name, f"{table.get('provider')} {table.get('model', '')}".strip())
    yield from (Name(name, "a route") for name in place.tables.get("routes", {}))


def _runs(place: _Place, begins: str) -> Iterator[Name]:
    from evalh.store.query import recent_ids

    yield Name("last", "the newest run")
    yield from (Name(name, about) for name, about in recent_ids(store_folder_of(os.environ, place.root), begins, _MOST))


def _cases(place: _Place, begins: str) -> Iterator[Name]:
    from evalh.store.query import case_ids

    yield from (Name(name) for name in case_ids(store_folder_of(os.environ, place.root), begins, _MOST))


def _files(folder: Path, endings: tuple[str, ...]) -> list[str]:
    """Return the names of the files below a folder that end so, without their endings, with `/`."""
    found: list[str] = []
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        below = Path(path).relative_to(folder)
        found += [
            (below / name.removesuffix(ending)).as_posix()
            for name in files
            for ending in endings
            if name.endswith(ending)
        ]
    return sorted(found)


def _prompt_files(place: _Place) -> Iterator[tuple[str, str]]:
    versions = [one.rpartition("/") for one in _files(place.folder("prompts"), (".prompt", ".pipeline.yaml"))]
    numbered = sorted(((prompt, version) for prompt, _, version in versions), key=_newest_first)
    yield from (one for one in numbered if one[0] and (one[1] == "draft" or one[1][1:].isdigit()))


def _newest_first(one: tuple[str, str]) -> tuple[str, int]:
    return one[0], -int(one[1][1:]) if one[1][1:].isdigit() else 0


_KINDS: Mapping[str, Callable[[_Place, str], Iterator[Name]]] = {
    "suites": _suites,
    "datasets": _datasets,
    "prompts": _prompts,
    "versions": _versions,
    "models": _models,
    "runs": _runs,
    "cases": _cases,
}
