"""Every definition of the harness is named by the harness: what only tests call is deleted with its tests."""

import ast
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import evalh

PACKAGE = Path(evalh.__file__).parent
# click, pytest, users and `make schemas` call these
ENTRANCES = ("cli/", "pytest_plugin.py", "__init__.py", "__main__.py", "api/workspace.py", "api/schemas.py")
REGISTERED = ("built_in", "migration", "field_validator", "model_validator")  # a decorator puts it into a table
ALLOWED = {
    "HttpxTransport": "a second adapter of the port, for the contract test of transports",
    "published": "`make schemas` writes what it returns to schemas/",
    "model_config": "pydantic",
    "nullable_schema": "pydantic.json_schema",
    "default_schema": "pydantic.json_schema",
    "decimal_schema": "pydantic.json_schema",
    "field_title_should_be_set": "pydantic.json_schema",
    "Options": "providers.registry reads it, in the module that it loads for a kind",
    "TRAITS": "providers.registry reads it, in the module that it loads for a kind",
    "build": "providers.registry calls it, in the module that it loads for a kind",
    "read_suite": "interop.foreign.formats calls it, in the module that it loads for a format",
    # Methods that other libraries call.
    "connection_made": "asyncio.Protocol",
    "data_received": "asyncio.Protocol",
    "connection_lost": "asyncio.Protocol",
    "pipe_data_received": "asyncio.SubprocessProtocol",
    "pipe_connection_lost": "asyncio.SubprocessProtocol",
    "process_exited": "asyncio.SubprocessProtocol",
    "on_header": "httptools",
    "on_headers_complete": "httptools",
    "on_body": "httptools",
    "on_message_complete": "httptools",
    "handle_error": "socketserver",
    "is_safe_callable": "jinja2.sandbox",
    "unsafe_undefined": "jinja2.sandbox",
    "call_binop": "jinja2.sandbox",
    "render_str": "rich.console",
    "visit_Call": "ast.NodeTransformer of jinja2",
    "visit_For": "ast.NodeTransformer of jinja2",
    "visit_Concat": "ast.NodeTransformer of jinja2",
}


class Definition(NamedTuple):
    """A function, class, method or constant of a module, and the lines that it takes."""

    file: str
    name: str
    first: int
    last: int
    of_class: bool

    def holds(self, file: str, line: int) -> bool:
        """Whether the line is part of it."""
        return file == self.file and self.first <= line <= self.last


def definitions_of(file: str, body: list[ast.stmt], *, of_class: bool = False) -> list[Definition]:
    """Return what a module or class defines, but for what is registered or has a name of Python's own."""
    found: list[Definition] = []
    for node in body:
        names: list[str] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not any(word in ast.unparse(decorator) for decorator in node.decorator_list for word in REGISTERED):
                names = [node.name]
            if isinstance(node, ast.ClassDef):
                found += definitions_of(file, node.body, of_class=True)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and not of_class:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        found += [
            Definition(file, name, node.lineno, node.end_lineno or node.lineno, of_class)
            for name in names
            if not name.startswith("__")
        ]
    return found


def quoted(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield (name, line) of what strings name: quoted annotations, the attribute of a `getattr`, `module:name`."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(returns=ast.expr() as note) | ast.AsyncFunctionDef(returns=ast.expr() as note):
                yield from names_in(note)
            case ast.arg(annotation=ast.expr() as note) | ast.AnnAssign(annotation=note):
                yield from names_in(note)
            case ast.Call(ast.Name("getattr"), [_, ast.Constant(str(name)), *_]):
                yield name, node.lineno
            case ast.Constant(str(text)) if text.startswith("evalh.") and ":" in text:
                yield text.rpartition(":")[2], node.lineno
            case _:
                pass


def names_in(annotation: ast.expr) -> Iterator[tuple[str, int]]:
    """Yield the names in the quoted parts of an annotation; a pattern of `Annotated` has none."""
    for text in ast.walk(annotation):
        if isinstance(text, ast.Constant) and isinstance(text.value, str):
            with suppress(SyntaxError):
                tree = ast.parse(text.value, mode="eval")
                yield from ((node.id, text.lineno) for node in ast.walk(tree) if isinstance(node, ast.Name))


def uses_of(file: str, tree: ast.Module, modules: Collection[str]) -> Iterator[tuple[str, str, str, int]]:
    """Yield (name, what it is of, file, line) for each place that names something.

    What a name is of: a module; "attribute", of a class; or "any", of an attribute that a text names.
    """
    own = file.removesuffix(".py")
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("evalh"):
            home = (node.module or "").removeprefix("evalh").lstrip(".").replace(".", "/")
            for alias in node.names:
                yield alias.name, home, file, node.lineno
                if f"{home}/{alias.name}".lstrip("/") in modules:
                    imported[alias.asname or alias.name] = f"{home}/{alias.name}".lstrip("/")
    for node in ast.walk(tree):
        match node:
            case ast.Name(name, ast.Load()):
                yield name, own, file, node.lineno
            case ast.Attribute(ast.Name(module), name) if module in imported:
                yield name, imported[module], file, node.lineno
            case ast.Attribute(_, name):
                yield name, "attribute", file, node.lineno
            case _:
                pass
    for name, line in quoted(tree):
        yield name, "any", file, line


def unused(package: Path) -> list[str]:
    """Return what nothing that is itself used names, as `file:line name`."""
    trees = {
        str(path.relative_to(package)): ast.parse(path.read_text(encoding="utf-8")) for path in package.rglob("*.py")
    }
    definitions = [one for file, tree in trees.items() for one in definitions_of(file, tree.body)]
    modules = {file.removesuffix(".py") for file in trees}
    uses = defaultdict(list)
    for file, tree in trees.items():
        for name, home, user, line in uses_of(file, tree, modules):
            uses[name].append((home, user, line))
    dead: list[Definition] = []
    while True:
        fresh = [
            definition
            for definition in definitions
            if definition not in dead
            and not definition.file.startswith(ENTRANCES)
            and definition.name not in ALLOWED
            and not any(
                home in (("any", "attribute") if definition.of_class else ("any", definition.file.removesuffix(".py")))
                and not any(one.holds(user, line) for one in (definition, *dead))
                for home, user, line in uses[definition.name]
            )
        ]
        if not fresh:
            return sorted(f"{one.file}:{one.first} {one.name}" for one in dead)
        dead += fresh


def test_the_harness_uses_all_that_it_defines() -> None:
    assert unused(PACKAGE) == []


def test_the_search_sees_what_only_the_unused_names(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f():\n    return g()\n\ndef g():\n    return 1\n")

    assert unused(tmp_path) == ["a.py:1 f", "a.py:4 g"]


def test_the_search_knows_a_name_that_another_module_imports(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f():\n    return 1\n")
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "b.py").write_text("from evalh.a import f\n")

    assert unused(tmp_path) == []
