"""Expressions that Jinja2 compiles, in the sandbox that templates have.

The tree that Jinja2 reads is bound before it is compiled: what leads to a source's part becomes a read of it that
fails by name, and comparisons, arithmetic and conditions become ours, which never take one type for another.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.parser import Parser
from jinja2.visitor import NodeTransformer

from evalh.core.errors import did_you_mean
from evalh.core.prompt import HandoverError, Reference
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.workspace.prompt.bodies import RenderError
from evalh.workspace.prompt.expression_filters import (
    AT,
    COMPARED,
    COMPARING,
    COMPUTED,
    KIND,
    NUMBERS,
    READ,
    SOFT,
    SOURCES,
    TESTS_HERE,
    TRUTH,
    environment,
    failure,
    json_of_result,
)
from evalh.workspace.prompt.jinja2_sandbox import METHODS, PURSE, RenderBudget, Sandbox, paying
from evalh.workspace.prompt.references import (
    Part,
    Scope,
    bound,
)

_SIGNS = {
    nodes.Add: "+",
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
    nodes.Pow: "**",
}
_DEEPEST = 24
_MOST_NODES = 400
_FUNCTIONS = {
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
    "bool": "x.y alone: truth is asked for as it is",
    "any": "x | select | length > 0",
    "all": "x | reject | length == 0",
    "isinstance": "x is string, x is number, x is mapping",
    "dict": "{'key': x.y}",
}


class Refused(Exception):
    """An expression that does not mean what it seems to; `hint` says what to type."""

    def __init__(self, what: str, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class Code(Value):
    """A compiled expression and the parts that it reads; `needed`: those without which it always fails."""

    template: Template
    parts: tuple[Part, ...]
    needed: frozenset[Reference]
    plain: bool  # it is one reference, and nothing else

    def run(self, values: Mapping[str, JsonValue]) -> JsonValue:
        """Return its value. Raises HandoverError; RenderError where it reads nothing."""
        purse = RenderBudget()
        try:
            context = self.template.new_context({PURSE: purse, SOURCES: (values, self.parts)})
            for _ in self.template.root_render_func(context):
                pass
            return json_of_result(context.vars["result"], purse)
        except (HandoverError, RenderError):
            raise
        except Exception as exc:  # noqa: BLE001 (a filter may be given what it cannot sort, sum or divide)
            what = str(exc) or type(exc).__name__
            raise failure(self.parts, 0, f"the expression has no value: {what[:1].lower()}{what[1:300]}") from None


def compile_code(text: str, where: str, scope: Scope, *, condition: bool) -> Code:
    """Compile an expression. Raises Refused, WorkspaceError for a reference that can never be there."""
    sandbox = environment()
    try:
        tree = _tree(sandbox, text)
        _measure(tree)
        if condition:
            _refuse_fixed(tree)
        binding = _Binding(where, scope)
        chain = _chain(tree)
        body = nodes.Assign(nodes.Name("result", "store", lineno=1), binding.visit(tree), lineno=1)
        code = sandbox.compile(paying(_whole(body, sandbox)))
    except TemplateSyntaxError as exc:
        raise _explained(exc, sandbox) from None
    except (RecursionError, SyntaxError, MemoryError):
        raise Refused("is nested too deeply", "compute it in a function step") from None
    except ValueError as exc:  # a number of thousands of digits
        raise Refused(f"Jinja2 refuses it: {str(exc)[:200]}") from None
    template = Template.from_code(sandbox, code, {})
    return Code(template, tuple(binding.parts), frozenset(binding.needed), chain is not None)


def _whole(body: nodes.Node, sandbox: Sandbox) -> nodes.Template:
    template = nodes.Template([body], lineno=1)
    template.set_environment(sandbox)
    return template


def _tree(sandbox: Sandbox, text: str) -> nodes.Expr:
    parser = Parser(sandbox, text, state="variable")
    tree = parser.parse_expression()
    if not parser.stream.eos:
        found = parser.stream.current
        if found.type == "assign":
            raise Refused("= assigns nothing here", "compare with ==")
        raise Refused(
            f"{str(found.value)[:40]!r} is left over after the expression", "one expression: a.b == 'c' and d"
        )
    return tree


def _explained(exc: TemplateSyntaxError, sandbox: Sandbox) -> Refused:
    message = exc.message or ""
    name = message.split("'")[1] if message.count("'") > 1 else ""
    if message.startswith("No filter"):
        known = [word for word in sandbox.filters if " " not in word]
        return Refused(f"there is no filter {name!r}", f"{did_you_mean(name, known)}; for a choice write `or`")
    if message.startswith("No test"):
        return Refused(f"there is no test 'is {name}'", f"{did_you_mean(name, TESTS_HERE)}; compare with ==")
    if "got 'for'" in message:
        return Refused("a list is not built here", "filter one: x | selectattr('late') | list; x | map(attribute='id')")
    return Refused(f"Jinja2 refuses it: {message[:200]}", "write a.b == 'c' and not d.e")


def _measure(tree: nodes.Node) -> None:
    """Refuse what is too deep to be walked, before anything walks it."""
    level: list[nodes.Node] = [tree]
    count = depth = 0
    while level:
        count += len(level)
        depth += 1
        if depth > _DEEPEST or count > _MOST_NODES:
            raise Refused("is too long, or nested too deeply", "compute it in a function step")
        level = [child for node in level for child in node.iter_child_nodes()]


def _refuse_fixed(tree: nodes.Node) -> None:
    """Refuse conditions that are decided before anything ran: `kind == "a" or "b"` is always true."""
    if not isinstance(tree, nodes.Name) and tree.find(nodes.Name) is None:
        raise Refused("the condition, or a part of it, is the same for all cases", "x.kind in ['a', 'b']")
    for child in _operands(tree):
        _refuse_fixed(child)


def _operands(tree: nodes.Node) -> Iterator[nodes.Node]:
    if isinstance(tree, (nodes.And, nodes.Or)):
        yield from (tree.left, tree.right)
    elif isinstance(tree, nodes.Not):
        yield tree.node


def _chain(node: nodes.Node) -> Reference | None:
    """Return what a chain of constant keys on a name refers to; None for anything else."""
    path: list[str | int] = []
    while isinstance(node, (nodes.Getattr, nodes.Getitem)):
        step: Any = node.attr if isinstance(node, nodes.Getattr) else _constant(node.arg)
        if type(step) not in (str, int):
            return None
        path.append(step)
        node = node.node
    return Reference(node.name, tuple(reversed(path))) if isinstance(node, nodes.Name) else None


def _references(node: nodes.Node) -> Iterator[Reference]:
    """Yield what an expression refers to, each as far as it is constant."""
    reference = _chain(node)
    if reference is not None:
        yield reference
        return
    for child in node.iter_child_nodes():
        method = isinstance(child, nodes.Getattr) and isinstance(node, nodes.Call) and child is node.node
        yield from _references(child.node if method and isinstance(child, nodes.Getattr) else child)


def _constant(node: nodes.Node) -> Any:
    if isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const) and type(node.node.value) is int:
        return -node.node.value
    return node.value if isinstance(node, nodes.Const) else None


class _Binding(NodeTransformer):
    """Turns references into reads of their parts, and what takes types lightly into what does not."""

    def __init__(self, where: str, scope: Scope) -> None:
        self.parts: list[Part] = []
        self.needed: set[Reference] = set()
        self._where = where
        self._scope = scope

    # -- reading

    def _part(self, reference: Reference) -> int:
        part = bound(reference, self._where, self._scope)
        if part not in self.parts:
            self.parts.append(part)
        return self.parts.index(part)

    def _read(self, reference: Reference, name: str = READ, *, any_null: bool = False) -> nodes.Expr:
        part = self._part(reference)
        if name == READ:
            self.needed.add(reference)
        return _filtered(nodes.Const(part), name, nodes.Const(any_null))

    def _blame(self, *found: nodes.Node) -> nodes.Const:
        """Return the part that is named first in what is computed: whoever gave it is told of what cannot be."""
        first = next((one for node in found for one in _references(node)), None)
        return nodes.Const(0 if first is None else self._part(first))

    def visit_Name(self, node: nodes.Name) -> nodes.Expr:  # noqa: N802 (Jinja2's visitor names)
        return self._read(Reference(node.name))

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Expr:  # noqa: N802
        return self._named(node, nodes.Const(node.attr))

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:  # noqa: N802
        if isinstance(node.arg, nodes.Slice):
            self.generic_visit(node)
            return node
        return self._named(node, node.arg)

    def _named(self, node: nodes.Getattr | nodes.Getitem, key: nodes.Expr) -> nodes.Expr:
        reference = _chain(node)
        if reference is not None:
            return self._read(reference)
        blame = self._blame(node.node, key)
        return _filtered(self.visit(node.node), AT, self.visit(key), blame)

    # -- asking

    def visit_Test(self, node: nodes.Test) -> nodes.Expr:  # noqa: N802
        name = node.name if node.name not in ("None", "True", "False") else node.name.lower()
        if name not in TESTS_HERE and name not in COMPARING:
            hint = "write a.b == c.d; or a.b is string, is mapping, is none"
            raise Refused(f"there is no test 'is {name}'", hint)
        node.name = name
        reference = _chain(node.node)
        if name in ("defined", "undefined"):
            node.node = self._asked(reference, f"is {name}")
        elif name == "none" and reference is not None:
            node.node = self._read(reference, any_null=True)
        else:
            node.node = self.visit(node.node)
        node.args = [self.visit(one) for one in node.args or ()]
        return node

    def _asked(self, reference: Reference | None, how: str) -> nodes.Expr:
        if reference is None or not reference.path:
            hint = "`else: x` runs where x did not; {first: [a, b]} takes what ran; x.y is defined asks for a field"
            raise Refused(f"{how!r} asks for a field, not for a step", hint)
        return self._read(reference, SOFT)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Expr:  # noqa: N802
        assert node.node is not None  # only a statement's filter has none
        reference = _chain(node.node)
        if node.name in ("default", "d") and reference is not None:
            node.node = self._asked(reference, f"| {node.name}")
        else:
            node.node = self.visit(node.node)
        node.args = [self.visit(one) for one in node.args]
        node.kwargs = [self.visit(one) for one in node.kwargs]
        node.name = NUMBERS.get(node.name, node.name)
        return node

    # -- computing

    def visit_Compare(self, node: nodes.Compare) -> nodes.Expr:  # noqa: N802
        blame = self._blame(node)
        operands = [node.expr, *(one.expr for one in node.ops)]
        of_null = any(isinstance(one, nodes.Const) and one.value is None for one in operands)
        values = []
        for one in operands:
            reference = _chain(one) if of_null else None
            values.append(self.visit(one) if reference is None else self._read(reference, any_null=True))
        names = nodes.List([nodes.Const(one.op) for one in node.ops])
        return _filtered(values[0], COMPARED, names, nodes.List(values[1:]), blame)

    def _arithmetic(self, node: nodes.BinExpr) -> nodes.Expr:
        blame = self._blame(node)
        return _filtered(
            self.visit(node.left), COMPUTED, nodes.Const(_SIGNS[type(node)]), self.visit(node.right), blame
        )

    visit_Add = visit_Sub = visit_Mul = visit_Div = visit_FloorDiv = visit_Mod = visit_Pow = _arithmetic  # noqa: N815 (Jinja2's visitor names)

    def _signed(self, node: nodes.UnaryExpr) -> nodes.Expr:
        sign = "-" if isinstance(node, nodes.Neg) else "+"
        return _filtered(nodes.Const(0), COMPUTED, nodes.Const(sign), self.visit(node.node), self._blame(node.node))

    visit_Neg = visit_Pos = _signed  # noqa: N815 (Jinja2's visitor names)

    def _condition(self, node: nodes.Expr) -> nodes.Expr:
        blame = self._blame(node)
        return _filtered(self.visit(node), TRUTH, blame)

    def visit_Not(self, node: nodes.Not) -> nodes.Expr:  # noqa: N802
        node.node = self._condition(node.node)
        return node

    def _either(self, node: nodes.BinExpr) -> nodes.Expr:
        node.left, node.right = self._condition(node.left), self.visit(node.right)
        return node

    visit_And = visit_Or = _either  # noqa: N815 (Jinja2's visitor names)

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Expr:  # noqa: N802
        if node.expr2 is None:
            raise Refused("says nothing for the other case", "a.b if c.d else none")
        node.test, node.expr1, node.expr2 = self._condition(node.test), self.visit(node.expr1), self.visit(node.expr2)
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Expr:  # noqa: N802
        called = node.node
        if not isinstance(called, nodes.Getattr):
            name = called.name if isinstance(called, nodes.Name) else "this"
            hint = _FUNCTIONS.get(name)
            told = f"write {hint}" if hint else "filters do: x.y | length, x.y | lower; more is a function step's work"
            raise Refused(f"{name}(…): expressions call no functions", told)
        kinds = [kind for kind in (str, dict) if called.attr in METHODS[kind]]
        if not kinds:
            known = METHODS[str] | METHODS[dict]
            raise Refused(f"there is no method .{called.attr}()", did_you_mean(called.attr, known))
        blame = self._blame(called.node)
        kind = nodes.Const("text" if kinds[0] is str else "a mapping")
        receiver = _filtered(self.visit(called.node), KIND, kind, nodes.Const(called.attr), blame)
        node.args = [self.visit(one) for one in node.args]
        node.kwargs = [self.visit(one) for one in node.kwargs]
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            raise Refused("* and ** hand nothing over here")
        node.node = nodes.Getattr(receiver, called.attr, "load", lineno=1)
        return node

    def visit_Const(self, node: nodes.Const) -> nodes.Expr:  # noqa: N802
        if isinstance(node.value, float) and not math.isfinite(node.value):
            raise Refused("a number is too big")
        return node


def _filtered(node: nodes.Expr, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=1)
