"""Count what `docs/design/001-the-house.md` states: `python benchmarks/house.py [folder that holds evalh]`."""

import ast
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import grimp

HERE = Path(__file__).parents[1] / "harness"
SHORT = 60
# Everything that reads a declared file: evalh.toml, a suite, its policies, a route, a grader's entry.
DECLARED = (
    "core/declared*",
    "workspace/baseline_policies*",
    "workspace/config*",
    "workspace/models*",
    "workspace/policies*",
    "workspace/pric*",
    "workspace/routes*",
    "workspace/suites*",
    "workspace/value*",
    "graders/kinds*",
)


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def class_names(package: Path) -> dict[str, int]:
    """Return the public names that several modules give to a class of their own, with the number of modules."""
    found: Counter[str] = Counter()
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
        found.update(name for name in classes if not name.startswith("_"))
    return {name: times for name, times in sorted(found.items()) if times > 1}


def circles(folder: Path) -> list[list[str]]:
    """Return the import circles, type-only and late imports included."""
    sys.path.insert(0, str(folder))
    graph = grimp.build_graph("evalh", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    reached = {module: reachable(imports, module) for module in imports}
    groups = {frozenset(other for other in reached[module] if module in reached[other]) for module in imports}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def reachable(imports: Mapping[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = imports[waiting.pop()] - found
        found |= new
        waiting.extend(new)
    return found


def counts(folder: Path) -> dict[str, int]:
    package = folder / "evalh"
    modules = {path: lines_of(path) for path in package.rglob("*.py")}
    short = [path for path, lines in modules.items() if lines < SHORT]
    declared = {path for pattern in DECLARED for path in package.glob(pattern + ".py")}
    return {
        "modules": len(modules),
        "lines": sum(modules.values()),
        f"modules under {SHORT} lines": len(short),
        "of these, not `__init__`": sum(path.stem != "__init__" for path in short),
        "import circles": len(circles(folder)),
        "public class names of several modules": len(class_names(package)),
        "lines that read declared files": sum(modules[path] for path in declared),
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else HERE
    for name, number in counts(folder).items():
        print(f"{name:36} {number:>7,}")
    for name, times in class_names(folder / "evalh").items():
        print(f"  class {name}: {times} modules")
    for circle in circles(folder):
        print(f"  circle: {' '.join(circle)}")
