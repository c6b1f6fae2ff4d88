"""The templates: plugins that are whole but for their name, which stands in them as plugin_name.

``templates/common`` is in every distribution, ``templates/<kind>`` makes it one of that kind. A
leading ``dot-`` of a file's or folder's name stands for ``.``.
"""

from __future__ import annotations

import ast
import re
from importlib import metadata
from pathlib import Path

from tensorgraph_new.kinds import Kind

FOLDER = Path(__file__).parent / "templates"
COMMON = "common"


def package(name: str) -> str:
    """What is imported: tensorgraph_NAME, as TensorGraph's own plugins are."""
    return f"tensorgraph_{name}"


def distribution(name: str) -> str:
    """What is installed: tensorgraph-NAME, with - for _, as PEP 503 has it."""
    return package(name).replace("_", "-")


def class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def fill(text: str, name: str, **more: str) -> str:
    """The text with its placeholders filled in."""
    values = {
        "plugin_name": name,
        "plugin-name": name.replace("_", "-"),
        "PluginName": class_name(name),
        **more,
    }
    pattern = "|".join(map(re.escape, values))
    return re.sub(pattern, lambda found: values[found[0]], text)


def files(kind: Kind, name: str) -> dict[str, str]:
    """The files of a new distribution: path → text."""
    found = {**_read(COMMON), **_read(kind.name)}
    summary = ast.get_docstring(ast.parse(found["tensorgraph_plugin_name/__init__.py"])) or ""
    more = {
        "plugin_summary": summary,
        "plugin_use": fill(_shown(kind.use), name),
        "tensorgraph_version": metadata.version("tensorgraph"),
    }
    return {fill(path, name): fill(text, name, **more) for path, text in sorted(found.items())}


def _shown(use: str) -> str:
    """A block of a page."""
    if use.startswith("$ "):
        return f"```sh\n{use[2:]}\n```"
    return f"```python\nimport tensorgraph as tg\n\n{use}\n```"


def identifiers(kind: Kind) -> set[str]:
    """The names that the code of a template uses itself."""
    found = set()
    for path, text in _read(kind.name).items():
        if path.endswith(".py"):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Name):
                    found.add(node.id)
                elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                    found.add(node.name)
                elif isinstance(node, ast.arg):
                    found.add(node.arg)
                elif isinstance(node, ast.alias):
                    found.add(node.asname or node.name)
    return found


def _read(folder: str) -> dict[str, str]:
    root = FOLDER / folder
    return {
        path.relative_to(root).as_posix().replace("dot-", "."): path.read_text("utf-8")
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
