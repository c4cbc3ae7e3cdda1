"""No module of the house imports itself by a detour: not for types, and not inside a function either."""

import grimp
import pytest


@pytest.mark.parametrize("package", ["evalh", "evalh_trace"])
def test_the_import_graph_has_no_circle(package: str) -> None:
    graph = grimp.build_graph(package, cache_dir=None)
    left = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}

    while done := {module for module, imports in left.items() if not imports & left.keys()}:
        left = {module: imports for module, imports in left.items() if module not in done}

    assert not left, "these import each other, or import what does"
