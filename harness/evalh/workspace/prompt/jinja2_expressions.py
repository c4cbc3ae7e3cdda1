"""Expressions that Jinja2 compiles, in the templates' sandbox.

The tree that Jinja2 reads is bound before it is compiled: what leads to a source's part becomes a read of it that
fails by name, and comparisons, arithmetic and conditions become ours, which never take one type for another.
"""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.visitor import NodeTransformer

from evalh.core.errors import did_you_mean
from evalh.core.prompt import HandoverError, Reference
from evalh.core.schemas import NoPart, Schema, part_of, refusal
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
from evalh.workspace.prompt.expression_trees import (
    FUNCTIONS,
    NotAnExpression,
    chain_of,
    constant_of,
    explained,
    read_tree,
    references_in,
    refuse_fixed,
)
from evalh.workspace.prompt.jinja2_sandbox import METHODS, PURSE, RenderBudget, Sandbox, paying
from evalh.workspace.prompt.references import (
    Scope,
    SourcePart,
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


class Code(Value):
    """A compiled expression and the parts that it reads; `needed`: those without which it always fails."""

    template: Template
    parts: tuple[SourcePart, ...]
    needed: frozenset[Reference]

    def run(self, values: Mapping[str, JsonValue]) -> JsonValue:
        """Return its value. Raises HandoverError, or RenderError if it reads nothing."""
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
    """Compile an expression. Raises NotAnExpression; WorkspaceError for a reference that can never exist."""
    sandbox = environment()
    try:
        tree = read_tree(sandbox, text)
        if condition:
            refuse_fixed(tree)
        binding = _Binding(where, scope)
        body = nodes.Assign(nodes.Name("result", "store", lineno=1), binding.visit(tree), lineno=1)
        code = sandbox.compile(paying(_whole(body, sandbox)))
    except TemplateSyntaxError as exc:
        raise explained(exc, sandbox) from None
    except (RecursionError, SyntaxError, MemoryError):
        raise NotAnExpression("is nested too deeply", "compute it in a function step") from None
    except ValueError as exc:  # a number of thousands of digits
        raise NotAnExpression(f"Jinja2 refuses it: {str(exc)[:200]}") from None
    template = Template.from_code(sandbox, code, {})
    return Code(template, tuple(binding.parts), frozenset(binding.needed))


def _whole(body: nodes.Node, sandbox: Sandbox) -> nodes.Template:
    template = nodes.Template([body], lineno=1)
    template.set_environment(sandbox)
    return template


class _Binding(NodeTransformer):
    """Turns references into reads of their parts, and loosely typed operations into strict ones."""

    def __init__(self, where: str, scope: Scope) -> None:
        self.parts: list[SourcePart] = []
        self.needed: set[Reference] = set()
        self._where = where
        self._scope = scope
        self._binders: dict[type[nodes.Node], Callable[[Any], nodes.Node]] = {
            nodes.Name: self._name,
            nodes.Getattr: self._part_of,
            nodes.Getitem: self._part_of,
            nodes.Test: self._test,
            nodes.Filter: self._filter,
            nodes.Call: self._call,
            nodes.Compare: self._compare,
            **dict.fromkeys(_SIGNS, self._arithmetic),
            nodes.Neg: self._signed,
            nodes.Pos: self._signed,
            nodes.Not: self._not,
            nodes.And: self._either,
            nodes.Or: self._either,
            nodes.CondExpr: self._choice,
            nodes.Const: self._constant,
        }

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
        """Return the first part of a computation: its source is named in an error."""
        first = next((one for node in found for one in references_in(node)), None)
        return nodes.Const(0 if first is None else self._part(first))

    def visit(self, node: nodes.Node, *_: Any, **__: Any) -> Any:
        bind = self._binders.get(type(node))
        if bind is not None:
            return bind(node)
        self.generic_visit(node)
        return node

    def _name(self, node: nodes.Name) -> nodes.Expr:
        return self._read(Reference(node.name))

    def _part_of(self, node: nodes.Getattr | nodes.Getitem) -> nodes.Expr:
        reference = chain_of(node)
        if reference is not None:
            return self._read(reference)
        if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
            self.generic_visit(node)
            return node
        key = nodes.Const(node.attr) if isinstance(node, nodes.Getattr) else node.arg
        blame = self._blame(node.node, key)
        return _filtered(self.visit(node.node), AT, self.visit(key), blame)

    def _constant(self, node: nodes.Const) -> nodes.Expr:
        if isinstance(node.value, float) and not math.isfinite(node.value):
            raise NotAnExpression("a number is too big")
        return node

    # -- asking

    def _test(self, node: nodes.Test) -> nodes.Expr:
        name = node.name if node.name not in ("None", "True", "False") else node.name.lower()
        if name not in TESTS_HERE and name not in COMPARING:
            hint = "write a.b == c.d; or a.b is string, is mapping, is none"
            raise NotAnExpression(f"there is no test 'is {name}'", hint)
        node.name = name
        reference = chain_of(node.node)
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
            hint = (
                "`else: x` runs where x did not; {first: [a, b]} takes the first that ran; x.y is defined tests a field"
            )
            raise NotAnExpression(f"{how!r} is for fields, not for steps", hint)
        return self._read(reference, SOFT)

    def _filter(self, node: nodes.Filter) -> nodes.Expr:
        assert node.node is not None  # only a statement's filter has none
        reference = chain_of(node.node)
        if node.name in ("default", "d") and reference is not None:
            node.node = self._asked(reference, f"| {node.name}")
        else:
            node.node = self.visit(node.node)
        node.args = [self.visit(one) for one in node.args]
        node.kwargs = [self.visit(one) for one in node.kwargs]
        node.name = NUMBERS.get(node.name, node.name)
        return node

    # -- computing

    def _compare(self, node: nodes.Compare) -> nodes.Expr:
        blame = self._blame(node)
        operands = [node.expr, *(one.expr for one in node.ops)]
        of_null = any(isinstance(one, nodes.Const) and one.value is None for one in operands)
        for before, after in pairwise(operands):
            if not of_null and not any(one.op in ("in", "notin") for one in node.ops):
                self._refuse_types(before, after)
        values = []
        for one in operands:
            reference = chain_of(one) if of_null else None
            values.append(self.visit(one) if reference is None else self._read(reference, any_null=True))
        names = nodes.List([nodes.Const(one.op) for one in node.ops])
        return _filtered(values[0], COMPARED, names, nodes.List(values[1:]), blame)

    def _refuse_types(self, left: nodes.Expr, right: nodes.Expr) -> None:
        """Refuse two values with known types that are never the same."""
        given, wanted = self._known(left), self._known(right)
        why = None if given is None or wanted is None else refusal(given, wanted)
        if why is not None:
            what = chain_of(left) or repr(constant_of(left))
            raise NotAnExpression(f"{what} {why}", "compare values of one type; x | int reads a number from a text")

    def _known(self, node: nodes.Expr) -> Schema | None:
        if isinstance(node, nodes.Const):
            return {"const": node.value}
        reference = chain_of(node)
        if reference is None:
            return None
        self._part(reference)
        shape = self._scope[reference.source]
        found = part_of(shape.schema, reference.path)
        return None if isinstance(found, NoPart) else found

    def _arithmetic(self, node: nodes.BinExpr) -> nodes.Expr:
        if isinstance(node, nodes.Pow) and isinstance(node.left, nodes.Pow | nodes.UnaryExpr):
            raise NotAnExpression(
                "** is computed from the left here, and in Python from the right", "write brackets: 2 ** (a.b ** 2)"
            )
        blame = self._blame(node)
        return _filtered(
            self.visit(node.left), COMPUTED, nodes.Const(_SIGNS[type(node)]), self.visit(node.right), blame
        )

    def _signed(self, node: nodes.UnaryExpr) -> nodes.Expr:
        sign = "-" if isinstance(node, nodes.Neg) else "+"
        return _filtered(nodes.Const(0), COMPUTED, nodes.Const(sign), self.visit(node.node), self._blame(node.node))

    def _not(self, node: nodes.Not) -> nodes.Expr:
        node.node = self._condition(node.node)
        return node

    def _either(self, node: nodes.And | nodes.Or) -> nodes.Expr:
        node.left, node.right = self._condition(node.left), self._perhaps(node.right)
        return node

    def _condition(self, node: nodes.Expr) -> nodes.Expr:
        blame = self._blame(node)
        return _filtered(self.visit(node), TRUTH, blame)

    def _choice(self, node: nodes.CondExpr) -> nodes.Expr:
        if node.expr2 is None:
            raise NotAnExpression("lacks an `else`", "write a.b if c.d else none")
        node.test = self._condition(node.test)
        node.expr1, node.expr2 = self._perhaps(node.expr1), self._perhaps(node.expr2)
        return node

    def _perhaps(self, node: nodes.Expr) -> nodes.Expr:
        """Bind a part that may never be evaluated, so that its references are not needed."""
        needed = set(self.needed)
        bound_node: nodes.Expr = self.visit(node)
        self.needed = needed
        return bound_node

    def _call(self, node: nodes.Call) -> nodes.Expr:
        called = node.node
        if not isinstance(called, nodes.Getattr):
            name = called.name if isinstance(called, nodes.Name) else "this"
            hint = FUNCTIONS.get(name)
            told = f"write {hint}" if hint else "use filters: x.y | length, x.y | lower; for more, use a function step"
            raise NotAnExpression(f"{name}(…): expressions cannot call functions", told)
        kinds = [kind for kind in (str, dict) if called.attr in METHODS[kind]]
        if not kinds:
            known = METHODS[str] | METHODS[dict]
            raise NotAnExpression(f"there is no method .{called.attr}()", did_you_mean(called.attr, known))
        blame = self._blame(called.node)
        kind = nodes.Const("text" if kinds[0] is str else "a mapping")
        receiver = _filtered(self.visit(called.node), KIND, kind, nodes.Const(called.attr), blame)
        node.args = [self.visit(one) for one in node.args]
        node.kwargs = [self.visit(one) for one in node.kwargs]
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            raise NotAnExpression("* and ** cannot pass arguments here")
        node.node = nodes.Getattr(receiver, called.attr, "load", lineno=1)
        return node


def _filtered(node: nodes.Expr, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=1)
