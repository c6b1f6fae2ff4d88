"""Who may import whom: an allow-table and a reader of imports, for tests/test_architecture.py."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

# a module of the core → the modules of the core that it may import; in an order without cycles
CORE = {
    "errors": "",
    "spec": "",
    "op": "errors",
    "registry": "errors",
    "data": "errors",
    "backend": "errors",
    "hookspecs": "backend",
    "discovery": "errors op registry backend hookspecs",
    "config": "errors op registry backend discovery",
    "ops": "errors spec op backend discovery config ops",
    "tensor": "errors spec op backend config ops",
    "execute": "errors spec op backend discovery config tensor",
    "creation": "errors spec config tensor",
    "autograd": "errors spec config ops tensor",
    "layer": "errors spec backend discovery config creation tensor",
    "optimizer": "errors config creation ops tensor",
    "program": "discovery op spec tensor",
    "testing": "backend discovery layer optimizer tensor",
}
# a package beside the core → what it may import besides tensorgraph and the standard library
OTHERS = {
    "tensorgraph_numpy": "numpy threadpoolctl",
    "tensorgraph_numba": "numpy numba llvmlite rich typer tensorgraph_numpy",
    "tensorgraph_cupy": "numpy cupy cuda ml_dtypes",
    "tensorgraph_ops": "",
    "tensorgraph_nn": "",
    "tensorgraph_optim": "",
    "tensorgraph_walks": "",
    "tensorgraph_augment": "PIL numpy typer",
    "tensorgraph_bench": "numpy rich threadpoolctl typer",
    "tensorgraph_vision": "numpy PIL",
    "tensorgraph_medical": "numpy nibabel pydicom",
    "tensorgraph_metrics": "numpy",
    "tensorgraph_study": "numpy rich sklearn typer",
    "tensorgraph_train": "numpy rich safetensors typer",
    "tensorgraph_transfer": "numpy rich safetensors typer",
    "tensorgraph_audit": "numpy rich sklearn typer",
    "tensorgraph_check": "numpy rich typer",
    "tensorgraph_explain": "PIL numpy typer",
    "tensorgraph_cli": "numpy rich threadpoolctl typer",
    "tensorgraph_new": "typer",
    "tensorgraph_labelling": "numpy safetensors typer",
    "tensorgraph_search": "matplotlib optuna typer",
    "tensorgraph_report": "PIL jinja2 markupsafe matplotlib numpy safetensors typer",
}
SCRIPTS = {"data/make_digits.py"}  # for developers: they made a file, and no module imports them
TEMPLATES = "templates"  # of tensorgraph_new: code of others, which is written out and not imported


class Import(NamedTuple):
    """One imported module, and how it is imported."""

    module: str
    line: int
    in_function: bool
    for_types: bool


def imports(source: str) -> Iterator[Import]:
    """Every import of a file; ``from tensorgraph import ops`` counts as ``tensorgraph.ops``."""

    def visit(node: ast.AST, in_function: bool, for_types: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, in_function, for_types)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names = [alias.name for alias in node.names]
            for name in [f"{module}.{n}" for n in names] if module == "tensorgraph" else [module]:
                yield Import(name, node.lineno, in_function, for_types)
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, in_function or function, for_types or types)

    yield from visit(ast.parse(source), False, False)


def core_violations(module: str, source: str) -> Iterator[str]:
    """What a module of the core, "ops.conv" say, imports against the rules."""
    family = module.partition(".")[0]
    for found in imports(source):
        package, _, rest = found.module.partition(".")
        where = f"tensorgraph/{module.replace('.', '/')}.py:{found.line}"
        if package != "tensorgraph":
            if package not in {*sys.stdlib_module_names, "pluggy"}:
                yield f"{where}: the core imports {found.module}"
        elif found.in_function:
            yield f"{where}: {found.module} is imported in a function, which hides a cycle"
        elif family not in {*CORE, "__init__"}:
            yield f"{where}: tests/architecture.py has no rule for tensorgraph.{family}"
        elif family == "__init__" or found.for_types:
            continue
        elif rest.partition(".")[0] not in CORE[family].split():
            yield f"{where}: {family} may not import {found.module}"


def other_violations(package: str, file: str, source: str) -> Iterator[str]:
    """What a backend or plugin imports against the rules."""
    allowed = {*sys.stdlib_module_names, "tensorgraph", package, *OTHERS[package].split()}
    for found in imports(source):
        if found.module.partition(".")[0] not in allowed:
            yield f"{package}/{file}:{found.line}: {package} may not import {found.module}"


def cycle(sources: dict[str, str]) -> list[str]:
    """Modules of the core that import each other in a ring, or nothing."""
    graph = {
        module: {
            name
            for found in imports(source)
            if not found.for_types and (name := _known(found.module, sources)) != module
        }
        for module, source in sources.items()
    }
    done: set[str | None] = {None}

    def search(module: str | None, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(str(module)) :], str(module)]
        if module is None or module in done:
            return []
        for other in sorted(map(str, graph[module] - {None})):
            if ring := search(other, [*path, module]):
                return ring
        done.add(module)
        return []

    return next((ring for module in sources if (ring := search(module, []))), [])


def _known(module: str, sources: dict[str, str]) -> str | None:
    name = module.removeprefix("tensorgraph.")
    return next((n for n in (name, f"{name}.__init__") if n in sources), None)


def core_sources() -> dict[str, str]:
    folder = ROOT / "tensorgraph"
    return {
        ".".join(path.relative_to(folder).with_suffix("").parts): path.read_text("utf-8")
        for path in sorted(folder.rglob("*.py"))
    }


def other_sources() -> Iterator[tuple[str, str, str]]:
    """(package, file, source) of all backends and plugins."""
    for folder in (ROOT / "backends", ROOT / "plugins"):
        for path in sorted(folder.rglob("*.py")):
            package, *rest = path.relative_to(folder).parts
            if "/".join(rest) not in SCRIPTS and rest[0] != TEMPLATES:
                yield package, "/".join(rest), path.read_text("utf-8")
