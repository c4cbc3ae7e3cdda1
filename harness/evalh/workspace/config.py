"""`evalh.toml`: where things are, which version is live, which models there are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evalh.core.errors import WorkspaceError
from evalh.core.model import ModelSpec
from evalh.core.ports import Tree
from evalh.core.prompt import version_number
from evalh.core.route import Route
from evalh.workspace.credentials import refuse_keys
from evalh.workspace.located import Located, Table
from evalh.workspace.models import model_spec
from evalh.workspace.reading import label, read_text
from evalh.workspace.routes import route
from evalh.workspace.toml import parse_toml

CONFIG_NAME = "evalh.toml"

_TABLES = ("workspace", "prompts", "models", "routes")
_WORKSPACE_KEYS = ("default_suite", "plugins", "base", "prompts", "evals", "datasets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The content of evalh.toml."""

    default_suite: str | None = None
    plugins: tuple[str, ...] = ()
    base: str | None = None  # the revision that work is merged into; None: the remote's HEAD
    prompts_dir: str = "prompts"
    evals_dir: str = "evals"
    datasets_dir: str = "datasets"
    live: Mapping[str, str] = field(default_factory=dict)  # prompt → version
    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    routes: Mapping[str, Route] = field(default_factory=dict)
    where: str = CONFIG_NAME
    source: Located | None = field(default=None, repr=False, compare=False)

    def where_of(self, *path: str) -> str:
        """Return `file:line` of a table or key, such as `("routes", "careful")`."""
        return self.where if self.source is None else self.source.where(*path)


def find_root(start: Path) -> Path:
    """Return the nearest folder upwards from `start` that holds an evalh.toml. Raises WorkspaceError."""
    try:
        start = start.resolve()
        there = start.exists()
    except OSError as exc:  # the current folder was deleted under us
        raise WorkspaceError(f"cannot be read: {exc.strerror}", where=str(start), hint="cd to a folder") from None
    if not there:
        # A misspelt folder must not lead to the workspace of a folder above it.
        raise WorkspaceError("no such folder", where=str(start))
    for folder in (start, *start.parents):
        try:
            if (folder / CONFIG_NAME).is_file():
                return folder
        except OSError:  # a folder that may not be looked into
            continue
    raise WorkspaceError(f"no {CONFIG_NAME} here or in a folder above", where=str(start), hint="evalh init")


def load_config(tree: Tree) -> Config:
    """Read evalh.toml at the tree's root. Raises WorkspaceError."""
    name = label(tree, CONFIG_NAME)
    located = parse_toml(read_text(tree, CONFIG_NAME), name)
    refuse_keys(located)
    top = Table(located, located.value)
    top.refuse_unknown(_TABLES)
    workspace = top.table("workspace")
    workspace.refuse_unknown(_WORKSPACE_KEYS)
    models = {name: model_spec(name, table) for name, table in top.table("models").tables()}
    return Config(
        default_suite=workspace.text("default_suite"),
        plugins=workspace.texts("plugins"),
        base=workspace.text("base"),
        prompts_dir=_folder(workspace, "prompts"),
        evals_dir=_folder(workspace, "evals"),
        datasets_dir=_folder(workspace, "datasets"),
        live={name: live for name, table in top.table("prompts").tables() if (live := _live(table))},
        models=models,
        routes=_routes(top.table("routes"), models),
        where=name,
        source=located,
    )


def _folder(workspace: Table, key: str) -> str:
    folder = workspace.text(key) or key
    names = [name for name in folder.split("/") if name not in ("", ".")]
    if folder.startswith("/") or ".." in names or "\\" in folder or "\0" in folder or not names:
        raise WorkspaceError(
            f"{key!r} must be a folder inside the workspace, with /",
            where=workspace.where(key),
            hint=f'{key} = "{key}"',
        )
    return "/".join(names)


def _live(prompt: Table) -> str | None:
    prompt.refuse_unknown(("live",))
    live = prompt.text("live")
    if live is not None and version_number(live) is None:
        raise WorkspaceError(
            f"'live' names a frozen version, not {live!r}", where=prompt.where("live"), hint='live = "v3"'
        )
    return live


def _routes(tables: Table, models: Mapping[str, ModelSpec]) -> dict[str, Route]:
    routes = {}
    for name, table in tables.tables():
        if name in models:
            raise WorkspaceError(
                f"{name!r} is a model already; a route may stand wherever a model may, so their names must differ",
                where=table.where(),
                hint=f"the model is at {models[name].where}",
            )
        routes[name] = route(name, table)
    for one in routes.values():
        if one.repair is not None and one.model in routes:
            raise WorkspaceError(
                f"route {one.name!r} would repair what {one.model!r} answers, which is a route with repairs of its own",
                where=one.where,
                hint=f"declare it where a model is asked: [routes.{one.model}]",
            )
    return routes
