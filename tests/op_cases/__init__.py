"""A module per family of ops; each holds CASES. ``ALL`` is what the conformance suite runs."""

import importlib
import pkgutil

from op_cases.case import Case

ALL: list[Case] = [
    case
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "case")
    for case in importlib.import_module(f"op_cases.{module}").CASES
]
