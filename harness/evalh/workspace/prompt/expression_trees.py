"""An expression's tree as Jinja2 parses it: its references, and what is refused before it is compiled."""

from collections.abc import Iterator
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.parser import Parser

from evalh.core.errors import did_you_mean
from evalh.core.prompt import Reference
from evalh.workspace.prompt.expression_filters import TESTS_HERE
from evalh.workspace.prompt.jinja2_sandbox import Sandbox

_DEEPEST = 24
_MOST_NODES = 400
FUNCTIONS = {
    "len": "x | length",
    "str": "x | string",
    "int": "x | int",
    "float": "x | float",
    "abs": "x | abs",
    "min": "x | min",
    "max": "x | max",
    "sum": "x | sum",
    "sorted": "x | sort",
    "list": "x | list",
    "bool": "x.y alone, where a condition is expected",
    "any": "x | select | length > 0",
    "all": "x | reject | length == 0",
    "isinstance": "x is string, x is number, x is mapping",
    "dict": "{'key': x.y}",
}


class NotAnExpression(Exception):
    """An expression that does not mean what it seems to mean; `hint` says what to type."""

    def __init__(self, what: str, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def read_tree(sandbox: Sandbox, text: str) -> nodes.Expr:
    """Read one expression. Raises NotAnExpression, TemplateSyntaxError, RecursionError."""
    parser = Parser(sandbox, text, state="variable")
    tree = parser.parse_expression()
    if not parser.stream.eos:
        found = parser.stream.current
        if found.type == "assign":
            raise NotAnExpression("= cannot assign here", "compare with ==")
        raise NotAnExpression(
            f"{str(found.value)[:40]!r} comes after the end of the expression", "write one expression: a.b == 'c' and d"
        )
    _measure(tree)
    return tree


def explained(exc: TemplateSyntaxError, sandbox: Sandbox) -> NotAnExpression:
    """Return Jinja2's error in our words."""
    message = exc.message or ""
    name = message.split("'")[1] if message.count("'") > 1 else ""
    if message.startswith("No filter"):
        known = [word for word in sandbox.filters if " " not in word]
        return NotAnExpression(f"there is no filter {name!r}", f"{did_you_mean(name, known)}; for a choice write `or`")
    if message.startswith("No test"):
        return NotAnExpression(f"there is no test 'is {name}'", f"{did_you_mean(name, TESTS_HERE)}; compare with ==")
    if "got 'for'" in message:
        return NotAnExpression(
            "a list is not built here", "filter one: x | selectattr('late') | list; x | map(attribute='id')"
        )
    return NotAnExpression(f"Jinja2 refuses it: {message[:200]}", "write a.b == 'c' and not d.e")


def _measure(tree: nodes.Node) -> None:
    """Refuse a tree that is too deep, before anything walks it."""
    level: list[nodes.Node] = [tree]
    count = depth = 0
    while level:
        count += len(level)
        depth += 1
        if depth > _DEEPEST or count > _MOST_NODES:
            raise NotAnExpression("is too long, or nested too deeply", "compute it in a function step")
        level = [child for node in level for child in node.iter_child_nodes()]


def refuse_fixed(tree: nodes.Node) -> None:
    """Refuse constant conditions: `kind == "a" or "b"` is always true."""
    if not isinstance(tree, nodes.Name) and tree.find(nodes.Name) is None:
        raise NotAnExpression("the condition, or a part of it, is the same for all cases", "x.kind in ['a', 'b']")
    for child in _operands(tree):
        refuse_fixed(child)


def _operands(tree: nodes.Node) -> Iterator[nodes.Node]:
    if isinstance(tree, (nodes.And, nodes.Or)):
        yield from (tree.left, tree.right)
    elif isinstance(tree, nodes.Not):
        yield tree.node


def chain_of(node: nodes.Node) -> Reference | None:
    """Return the reference of a chain of constant keys on a name; None for anything else."""
    path: list[str | int] = []
    while isinstance(node, (nodes.Getattr, nodes.Getitem)):
        step: Any = node.attr if isinstance(node, nodes.Getattr) else constant_of(node.arg)
        if type(step) not in (str, int):
            return None
        path.append(step)
        node = node.node
    return Reference(node.name, tuple(reversed(path))) if isinstance(node, nodes.Name) else None


def references_in(node: nodes.Node) -> Iterator[Reference]:
    """Yield an expression's references, each as far as its keys are constant."""
    reference = chain_of(node)
    if reference is not None:
        yield reference
        return
    for child in node.iter_child_nodes():
        method = isinstance(child, nodes.Getattr) and isinstance(node, nodes.Call) and child is node.node
        yield from references_in(child.node if method and isinstance(child, nodes.Getattr) else child)


def constant_of(node: nodes.Node) -> Any:
    """Return a constant's value; None for anything else."""
    if isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const) and type(node.node.value) is int:
        return -node.node.value
    return node.value if isinstance(node, nodes.Const) else None
