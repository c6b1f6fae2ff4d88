"""The command ``tensorgraph weights``: what is in a file, in another format, and differences."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import tensorgraph as tg
from tensorgraph.errors import ConfigError

WIDTH = 100


def weights(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="safetensors, a PyTorch state dict, or a model with published weights.",
            show_default=False,
        ),
    ],
    model: Annotated[str | None, typer.Option(help="Does it fit this model?")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of that model, as in [model] of a run file."),
    ] = None,
    convert: Annotated[
        Path | None, typer.Option(metavar="OUT.safetensors", help="Write it as safetensors.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="OTHER", help="Show where another file differs.")
    ] = None,
) -> None:
    """List, convert or compare files of weights.

    PyTorch's files are read without PyTorch, and nothing that is in one is run: a file that holds
    more than tensors and plain containers is refused.
    """
    from tensorgraph_transfer.weights import read

    path = _path(file)
    found = read(path)
    if model is not None:
        _fits(model, option or [], found, str(path))
    if convert is not None:
        _write(convert, found)
    elif compare is not None:
        _differences(found, read(compare), str(path), str(compare))
    elif model is None:
        _listing(found)


def _path(file: str) -> Path:
    from tensorgraph_transfer import published

    return published.published(file).path if file in published.KNOWN else Path(file)


def _listing(found: Mapping[str, Any]) -> None:
    table = Table("name", "dtype", "shape", "numbers")
    for name, x in found.items():
        table.add_row(name, str(x.dtype), "×".join(map(str, x.shape)) or "one", f"{x.size:,}")
    _print(table)
    total, size = sum(x.size for x in found.values()), sum(x.nbytes for x in found.values())
    print(f"{len(found)} tensors, {total:,} numbers, {size / 1e6:,.1f} MB")


def _options(assignments: Sequence[str]) -> dict[str, Any]:
    """As TOML has them; a word needs no quotes."""
    found: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not (equals and key.isidentifier()):
            raise ConfigError(f"--option {text}: say it as KEY=VALUE")
        try:
            found[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key] = value
    return found


def _fits(name: str, options: Sequence[str], found: Mapping[str, Any], origin: str) -> None:
    """Raises ``ConfigError`` or ``ShapeError`` where it does not; the head may be another."""
    from tensorgraph_transfer.parts import parts
    from tensorgraph_transfer.weights import put

    stem = next((x for x in found.values() if x.ndim == 4), None)
    channels = 1 if stem is None else stem.shape[1]
    kind = tg.models[name]
    given = _options(options)
    try:
        made = kind(**given)
    except TypeError as error:
        raise ConfigError(f"--model {name}: {error}") from error
    made.infer_shape(tg.Spec((1, channels, 64, 64), "float32"))
    put(made, found, origin, parts(made)[-1])
    print(f"{origin} fits the model {name!r}, of images of {channels} channels, but for its head")


def _write(path: Path, found: Mapping[str, Any]) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    if path.suffix != ".safetensors":
        raise ConfigError(f"--convert {path}: only safetensors is written; end it in .safetensors")
    if path.exists():
        raise ConfigError(f"--convert {path}: there is such a file already")
    if not path.parent.is_dir():
        raise ConfigError(f"--convert {path}: there is no folder {path.parent}")
    save_file({name: np.asarray(x, order="C") for name, x in found.items()}, path)
    print(f"{path}: {len(found)} tensors written")


def _differences(one: Mapping[str, Any], two: Mapping[str, Any], here: str, there: str) -> None:
    import numpy as np

    table = Table("name", "difference")
    for name in dict.fromkeys([*one, *two]):
        if name not in one or name not in two:
            table.add_row(name, f"only in {here if name in one else there}")
        elif one[name].shape != two[name].shape:
            table.add_row(name, f"{one[name].shape} and {two[name].shape}")
        elif not np.array_equal(one[name], two[name], equal_nan=one[name].dtype.kind == "f"):
            apart = np.abs(one[name].astype(np.float64) - two[name].astype(np.float64)).max()
            table.add_row(name, f"at most {apart:.3g}")
    if table.row_count:
        _print(table)
    same = len({*one, *two}) - table.row_count
    print(f"{same} tensors are the same, {table.row_count} are not")


def _print(table: Table) -> None:
    console = Console()
    Console(width=console.width if console.is_terminal else WIDTH).print(table)
