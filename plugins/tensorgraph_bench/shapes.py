"""Published shapes of convolutions and products, as samples; ``shapes.toml`` says what a set is."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorgraph as tg
from tensorgraph.errors import ConfigError
from tensorgraph.registry import near_miss
from tensorgraph_bench.samples import Sample, convolutions, op_sample

BUILT_IN = Path(__file__).with_name("shapes.toml")
REQUIRED = {"conv": ("n", "c", "h", "w", "k", "r", "s"), "matmul": ("m", "k", "n")}
# a column → its default; None: as the column for both axes
OPTIONAL: dict[str, dict[str, int | None]] = {
    "conv": {
        "stride": 1, "stride_h": None, "stride_w": None,
        "padding": 0, "padding_h": None, "padding_w": None,
        "dilation": 1, "groups": 1, "times": 1,
    },
    "matmul": {"transpose_x": 0, "transpose_y": 0, "times": 1},
}  # fmt: skip
KEYS = ("source", "op", "columns", "rows", "default")


class Row(NamedTuple):
    """One shape: its samples, and how often the network has such a layer."""

    samples: tuple[Sample, ...]
    times: int


class ShapeSet(NamedTuple):
    """Shapes of one origin. ``default`` are those of its rows that are run unless all are."""

    name: str
    source: str
    rows: tuple[Row, ...]
    default: tuple[Row, ...]


def built_in() -> dict[str, ShapeSet]:
    return read(BUILT_IN)


def samples(names: Sequence[str] = (), every: bool = False) -> list[Sample]:
    """The samples of sets, built-in ones by their names and those of files: all rows. With no names
    the default rows of the built-in sets, or with ``every`` all of them."""
    known = built_in()
    if not names:
        return distinct(row for s in known.values() for row in (s.rows if every else s.default))
    found: list[Row] = []
    for name in names:
        if name in known:
            found += known[name].rows
        elif Path(name).suffix == ".toml" or Path(name).exists():
            found += [row for each in read(Path(name)).values() for row in each.rows]
        else:
            raise ConfigError(
                f"--shapes: no set of shapes is named {near_miss(name, known)}; or give a file "
                "that ends in .toml"
            )
    return distinct(found)


def distinct(rows: Iterable[Row]) -> list[Sample]:
    """The samples of rows; a published list may have a row twice."""
    return list({str(sample): sample for row in rows for sample in row.samples}.values())


def read(path: Path) -> dict[str, ShapeSet]:
    """The sets that a file holds. Raises ``ConfigError``."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    return {name: _set(name, table, f"[{name}] in {path}") for name, table in tables.items()}


def _set(name: str, table: Any, where: str) -> ShapeSet:
    if not isinstance(table, dict) or not {"op", "rows"} <= table.keys():
        raise ConfigError(f"{where}: a set of shapes is a table with op and rows")
    for key in table:
        if key not in KEYS:
            raise ConfigError(f"{where}: a set of shapes has no key {near_miss(key, KEYS)}")
    op, columns = table["op"], table.get("columns", ())
    rows = []
    for i, row in enumerate(table["rows"]):
        at = f"{where}, row {i}"
        rows.append(_free(name, op, row, at) if isinstance(row, dict) else
                    _numbers(name, op, columns, row, at))  # fmt: skip
    chosen = table.get("default", range(len(rows)))
    if not all(isinstance(i, int) and 0 <= i < len(rows) for i in chosen):
        raise ConfigError(f"{where}: default = {chosen} are not among its {len(rows)} rows")
    return ShapeSet(name, table.get("source", ""), tuple(rows), tuple(rows[i] for i in chosen))


def _free(name: str, op: str, row: Mapping[str, Any], where: str) -> Row:
    """``{inputs = [[256, 4096]], parameters = {a = 2.0}, label = "large"}``: any op."""
    if "inputs" not in row or not row.keys() <= {"inputs", "parameters", "label"}:
        raise ConfigError(
            f"{where}: {dict(row)} has to be inputs, a list of shapes, and, if need be, "
            "parameters and a label"
        )
    inputs = tuple(map(tuple, row["inputs"]))
    parameters = {key: _hashable(value) for key, value in row.get("parameters", {}).items()}
    shapes = " ".join("x".join(map(str, shape)) or "scalar" for shape in inputs)
    label = row.get("label") or " ".join([shapes, *(f"{k}={v}" for k, v in parameters.items())])
    return Row((op_sample(op, f"{name} {label}", inputs, **parameters),), 1)


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _numbers(name: str, op: str, columns: Sequence[str], row: Sequence[Any], where: str) -> Row:
    if op not in REQUIRED:
        raise ConfigError(
            f"{where}: rows of numbers are known for {' and '.join(REQUIRED)}; for {op!r} write "
            "{inputs = [[8, 3]], parameters = {}}"
        )
    known = (*REQUIRED[op], *OPTIONAL[op])
    for column in columns:
        if column not in known:
            raise ConfigError(f"{where}: {op} has no column {near_miss(column, known)}")
    missing = [column for column in REQUIRED[op] if column not in columns]
    if missing:
        raise ConfigError(f"{where}: {op} needs columns for {', '.join(missing)} as well")
    if len(row) != len(columns) or not all(isinstance(x, int) for x in row):
        raise ConfigError(
            f"{where}: {list(row)} are not {len(columns)} whole numbers, one for each of "
            f"{', '.join(columns)}"
        )
    given = {**OPTIONAL[op], **dict(zip(columns, row, strict=True))}
    made = _convolution(name, given) if op == "conv" else _product(name, given)
    return Row(made, given["times"])


def _convolution(name: str, given: Mapping[str, Any]) -> tuple[Sample, ...]:
    """The convolution and both of its gradients: what training runs."""
    n, c, h, w, k, r, s = (given[column] for column in ("n", "c", "h", "w", "k", "r", "s"))
    groups, dilation = given["groups"], given["dilation"]
    stride, padding = _per_axis(given, "stride"), _per_axis(given, "padding")
    words = [f"{name} {n}x{c}x{h}x{w} {k} {r}x{s}"]
    if stride != (1, 1):
        words.append(f"stride {_shown(stride)}")
    if padding != (0, 0):
        words.append(f"pad {_shown(padding)}")
    if dilation != 1:
        words.append(f"dilation {dilation}")
    if groups != 1:
        words.append(f"groups {groups}")
    return convolutions(
        " ".join(words), (n, c, h, w), (k, c // groups, r, s),
        stride=stride, padding=padding, dilation=dilation, groups=groups,
    )  # fmt: skip


def _per_axis(given: Mapping[str, Any], name: str) -> tuple[int, int]:
    """``stride_h`` and ``stride_w``, or ``stride`` for both."""
    height, width = given[f"{name}_h"], given[f"{name}_w"]
    both = given[name]
    return both if height is None else height, both if width is None else width


def _shown(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def _product(name: str, given: Mapping[str, Any]) -> tuple[Sample, ...]:
    """``x @ y`` of (m, k) and (k, n), where x or y may lie transposed in memory."""
    m, k, n = (given[column] for column in ("m", "k", "n"))
    turned = given["transpose_x"], given["transpose_y"]
    shapes = [(k, m) if turned[0] else (m, k), (n, k) if turned[1] else (k, n)]
    label = f"{name} {m}x{k}{'T' * turned[0]} {k}x{n}{'T' * turned[1]}"
    return (Sample("matmul", label, tuple(shapes), lambda x, y: _turned_product(x, y, turned)),)


def _turned_product(x: Any, y: Any, turned: Sequence[int]) -> Any:
    if turned[0]:
        x = tg.ops.permute_dims(x, axes=(1, 0))
    if turned[1]:
        y = tg.ops.permute_dims(y, axes=(1, 0))
    return tg.ops.matmul(x, y)
