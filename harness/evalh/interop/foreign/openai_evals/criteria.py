"""Testing criteria of OpenAI Evals as graders."""

import ast
from collections.abc import Callable, Mapping
from math import ceil, isclose

from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.bodies import tell_left_out, tell_own_prompt
from evalh.interop.foreign.openai_evals.slots import item_path, of_item, output_place, rendered, told
from evalh.interop.foreign.transfer import Fidelity, ImportRequest, ProofSheet, Subject, Transfer, free_name, slug

_WORDS = (("sample.output_text", "(the answer)"),)
_SIMILARITY = {"fuzzy_match": "ratio"}
_STRINGS = {"eq": "equals", "ne": "equals", "like": "contains", "ilike": "contains"}

OfRow = Callable[[JsonValue], JsonValue]
"""Returns a grader for one item."""


class Criteria:
    """Reads testing criteria; notes what rows must hold for them."""

    def __init__(self, transfer: Transfer, request: ImportRequest) -> None:
        self.expected: dict[str, None] = {}  # paths in the item that graders compare with
        self.of_rows: list[OfRow] = []
        self._transfer, self._request = transfer, request

    @property
    def _sheet(self) -> ProofSheet:
        return self._transfer.sheet

    def read(self, criterion: JsonValue, where: str) -> JsonValue:
        """Return the suite's grader of a criterion; "case" if each row has its own, None if it is left out."""
        if not isinstance(criterion, Mapping):
            return None
        what = f"{criterion.get('type')} {criterion.get('name') or ''}".strip()
        match criterion.get("type"):
            case "string_check":
                grader = self._string_check(criterion, where, what)
            case "text_similarity":
                grader = self._similarity(criterion, where, what)
            case "label_model":
                grader = self._label(criterion, where, what)
            case "score_model":
                grader = self._score(criterion, where, what)
            case "python":
                grader = self._python(criterion, where, what)
            case "multi":
                grader = self._multi(criterion, where, what)
            case _:
                tell_left_out(self._sheet, where, what, "is not a grader that evalh knows")
                return None
        return _named(grader, criterion.get("name"))

    def _place(self, criterion: Mapping[str, JsonValue], where: str, what: str) -> dict[str, JsonValue] | None:
        """Return where the grader looks; None, and told, where that is not the answer."""
        place = output_place(criterion.get("input"))
        if place is None:
            tell_left_out(self._sheet, where, what, "its input is not the answer, or a place in it")
            return None
        if place:
            why = "the source turns any value at this place into text; here it must be a text"
            self._sheet.add(Fidelity.NEAR, where, what, why, subject=Subject.GRADER)
            return {"path": place}
        self._sheet.add(Fidelity.SAME, where, what, subject=Subject.GRADER)
        return {}

    def _reference(
        self,
        criterion: Mapping[str, JsonValue],
        where: str,
        what: str,
        build: Callable[[dict[str, JsonValue]], JsonValue],
    ) -> JsonValue:
        """Build a grader that compares with a value of the row, a fixed text, or a text made of the row's values."""
        reference = criterion.get("reference")
        if not isinstance(reference, str) or not of_item(reference):
            tell_left_out(self._sheet, where, what, "its reference is neither a text nor a value of the row")
            return None
        if (place := self._place(criterion, where, what)) is None:
            return None
        if (path := item_path(reference)) is not None:
            self.expected[path] = None
            return build({**place, "expected": path})
        if "{{" not in reference:
            return build({**place, "value": reference})
        self.of_rows.append(lambda item: build({**place, "value": rendered(reference, item)}))
        return "case"

    def _string_check(self, criterion: Mapping[str, JsonValue], where: str, what: str) -> JsonValue:
        operation = str(criterion.get("operation"))
        kind = _STRINGS.get(operation)
        if kind is None:
            tell_left_out(self._sheet, where, what, f"evalh does not know the operation {operation}")
            return None

        def build(params: dict[str, JsonValue]) -> JsonValue:
            ignoring = {"ignore_case": True} if operation == "ilike" else {}
            grader = {kind: {**params, **ignoring}}
            return {"not": grader} if operation == "ne" else grader

        return self._reference(criterion, where, what, build)

    def _similarity(self, criterion: Mapping[str, JsonValue], where: str, what: str) -> JsonValue:
        metric, mark = str(criterion.get("evaluation_metric")), criterion.get("pass_threshold")
        if metric == "cosine":
            do = "add embedding_similarity with a model of yours: docs/reference/graders.md"
            tell_left_out(self._sheet, where, what, "compares embeddings, whose model is not stated", do)
            return None
        if metric not in _SIMILARITY or not isinstance(mark, int | float):
            tell_left_out(self._sheet, where, what, f"evalh does not compute {metric}", "a similarity, or a judge")
            return None
        self._sheet.add(Fidelity.NEAR, where, what, "the similarity is measured in another way", subject=Subject.GRADER)
        return self._reference(
            criterion, where, f"{what}: its texts", lambda params: {"similarity": {**params, "pass_mark": mark}}
        )

    def model(self, name: JsonValue) -> str | None:
        """Add a model's table, and return its name."""
        if not isinstance(name, str) or not name:
            return None
        for known, table in self._transfer.models.items():
            if table.get("model") == name:
                return known
        own = free_name(slug(name), {*self._request.taken, *self._transfer.models})
        self._transfer.models[own] = {"provider": "openai", "model": name}
        return own

    def _label(self, criterion: Mapping[str, JsonValue], where: str, what: str) -> JsonValue:
        labels, passing = criterion.get("labels"), criterion.get("passing_labels")
        model = self.model(criterion.get("model"))
        if model is None or not isinstance(labels, list) or not isinstance(passing, list) or not passing:
            tell_left_out(self._sheet, where, what, "states no model or no labels")
            return None
        among = f"Choose one label: {', '.join(map(str, labels))}. It passes with: {', '.join(map(str, passing))}."
        rest = "the labels are the same"
        tell_own_prompt(self._sheet, where, what, rest)
        rubric = f"{told(criterion.get('input'), _WORDS)}\n\n{among}"
        return {"judge": {"rubric": rubric, "model": model, "scale": "pass/fail"}}

    def _score(self, criterion: Mapping[str, JsonValue], where: str, what: str) -> JsonValue:
        model, mark = self.model(criterion.get("model")), criterion.get("pass_threshold")
        low, high = criterion.get("range") or (0, 1)
        if model is None or not all(isinstance(one, int | float) for one in (low, high)) or low >= high:
            tell_left_out(self._sheet, where, what, "states no model, or no range")
            return None
        mark = mark if isinstance(mark, int | float) else (low + high) / 2
        whole = all(float(one).is_integer() for one in (low, high)) and high - low > 1 and low >= 0
        scale, points = (f"{low:g}-{high:g}", ceil(mark)) if whole else ("0-10", ceil(10 * (mark - low) / (high - low)))
        points = max(points, (int(low) if whole else 0) + 1)
        rest = f"in the source it gives {low:g} to {high:g} points, and {mark:g} pass"
        tell_own_prompt(self._sheet, where, what, rest)
        rubric = told(criterion.get("input"), _WORDS)
        return {"judge": {"rubric": rubric, "model": model, "scale": scale, "pass_mark": points}}

    def _python(self, criterion: Mapping[str, JsonValue], where: str, what: str) -> JsonValue:
        source, mark = criterion.get("source"), criterion.get("pass_threshold")
        if not isinstance(source, str):
            tell_left_out(self._sheet, where, what, "has no source")
            return None
        if not self._request.allow_code:
            do = "--allow-code keeps it: read it first, it runs with your rights"
            tell_left_out(self._sheet, where, what, "is a program", do)
            return None
        name = free_name(slug(str(criterion.get("name") or "grade")).replace("-", "_"), self._stems())
        path = f"evals/imported/{name}.py"
        self._transfer.files[path] = _wrapped(source, mark if isinstance(mark, int | float) else None).encode()
        why = "it runs in your Python environment, not in its own image"
        self._sheet.add(Fidelity.NEAR, where, what, why, subject=Subject.GRADER)
        return {"python": {"function": f"{path}:judge"}}

    def _stems(self) -> set[str]:
        return {path.rpartition("/")[2].removesuffix(".py") for path in self._transfer.files}

    def _multi(self, criterion: Mapping[str, JsonValue], where: str, what: str) -> JsonValue:
        inner, formula = criterion.get("graders"), criterion.get("calculate_output")
        named = inner if isinstance(inner, Mapping) else {}
        weights = _weights(formula, named) if isinstance(formula, str) else None
        if weights is None:
            tell_left_out(self._sheet, where, what, "its formula is not a mean, or a sum with weights that add up to 1")
            return None
        parts = []
        for name, weight in weights.items():
            grader = self.read(named[name], where)
            if not isinstance(grader, Mapping):
                tell_left_out(self._sheet, where, what, f"its part {name} is left out, or differs from row to row")
                return None
            ((kind, params),) = grader.items()
            parts.append(
                {kind: {**params, "weight": weight} if kind != "not" else {"grader": params, "weight": weight}}
            )
        mark = criterion.get("pass_threshold")
        self._sheet.add(Fidelity.NEAR, where, what, "the mean of graders' scores", subject=Subject.GRADER)
        return {"weighted": {"graders": parts, "threshold": mark if isinstance(mark, int | float) else 0.5}}


def _named(grader: JsonValue, name: JsonValue) -> JsonValue:
    """Give a grader its name in the source."""
    if not isinstance(grader, Mapping) or not isinstance(name, str) or not (own := slug(name)):
        return grader
    ((kind, params),) = grader.items()
    return {kind: {"grader": params, "name": own} if kind == "not" else {**params, "name": own}}


def _weights(formula: str, names: Mapping[str, JsonValue]) -> dict[str, float] | None:
    """Return the weight of each name in a linear formula; None if it is not one, or they do not add up to 1."""
    try:
        tree = ast.parse(formula.strip(), mode="eval").body if len(formula) < 1_000 else None  # noqa: PLR2004
        found = None if tree is None else _linear(tree, names)
    except (SyntaxError, ValueError, RecursionError, ZeroDivisionError, MemoryError):
        return None
    if not found or "" in found or any(weight <= 0 for weight in found.values()):
        return None
    return found if isclose(sum(found.values()), 1, abs_tol=1e-6) else None


def _linear(node: ast.expr, names: Mapping[str, JsonValue]) -> dict[str, float]:
    """Return a formula as weights of names; "" is a number alone. Raises ValueError for what is not linear."""
    match node:
        case ast.Name(id=name) if name in names:
            return {name: 1.0}
        case ast.Constant(value=int() | float() as number):
            return {"": float(number)}
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = _linear(left, names), _linear(right, names)
            return {name: first.get(name, 0) + second.get(name, 0) for name in {**first, **second}}
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as op, right=right):
            first, second = _linear(left, names), _linear(right, names)
            if isinstance(op, ast.Mult) and set(first) == {""}:
                first, second = second, first
            if set(second) != {""}:
                raise ValueError("not linear")
            times = second[""] if isinstance(op, ast.Mult) else 1 / second[""]
            return {name: weight * times for name, weight in first.items()}
    raise ValueError("not linear")


def _wrapped(source: str, mark: float | None) -> str:
    needed = "score > 0" if mark is None else f"score >= {mark!r}"
    return f'''{source.rstrip()}


def judge(ctx):
    """Call `grade` as OpenAI Evals did: with the sample and the item."""
    from evalh import Verdict

    sample = {{"output_text": ctx.text, "choices": [{{"message": {{"role": "assistant", "content": ctx.text}}}}]}}
    score = float(grade(sample, ctx.inputs.get("item", {{}})))
    shown = min(1.0, max(0.0, score))
    verdict = Verdict.check({needed}, f"score {{score:g}}")
    return Verdict(verdict.outcome, shown, verdict.reason)
'''
