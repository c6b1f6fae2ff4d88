"""``tensorgraph explain``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

import tensorgraph as tg
from tensorgraph.errors import ConfigError
from tensorgraph.registry import near_miss


def explain(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder of a run.", show_default=False)
    ],
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE", help="Image files, or folders.", show_default=False),
    ],
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="saliency, smooth_grad, integrated_gradients, grad_cam, occlusion, translation, "
            "feature_maps, filters, edges, or a plugin's; may be given again "
            "[default: grad_cam, occlusion, integrated_gradients]."
        ),
    ] = None,
    of_class: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="Explain this class [default: the answer]."),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Of grad_cam, feature_maps, filters: where to look."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to [default: DIR/explain].")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="numpy, cupy, or auto for the fastest that is here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Draw what in an image decides the model's answer. Not for clinical use.

    Each picture comes with its sanity check: beside the map stands that of the same model with
    random weights, and where the two are alike it is said that the map does not show the model.
    """
    with tg.use(backend=backend):
        found = []
        for row in _explained(folder, images, method, of_class, layer, out):
            found.append(row)
            if not as_json:
                print(f"{row['file']}: {row['class']}; {'; '.join(row['says'])}")
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))


def _explained(
    folder: Path,
    images: list[Path],
    names: list[str] | None,
    of_class: str | None,
    layer: str | None,
    out: Path | None,
) -> Iterator[dict[str, Any]]:
    """A row for each picture, once it is written."""
    from tensorgraph_explain import methods, pictures
    from tensorgraph_explain.asking import answers
    from tensorgraph_explain.sanity import sanity

    asked = tg.plugins.walk("model_inputs", folder, images)
    if of_class is not None and of_class not in asked.classes:
        raise ConfigError(f"--class: the model has no {near_miss(of_class, asked.classes)}")
    chosen = methods.methods(names or methods.usual(asked.model), layer)
    out = out or folder / "explain"
    for number, (name, image, white, values) in enumerate(asked.images, 1):
        x, said = tg.tensor(values), of_class or asked.said[number - 1]
        wanted = asked.classes.index(said) if said in asked.classes else None
        target = answers(asked.model, x, wanted)
        label = asked.classes[target[0]]
        stem = re.sub(r"[^\w.-]+", "_", Path(name).stem)
        for method in chosen:
            found = sanity(method.run, asked.model, x, target)
            remark = methods.remark(method.name, asked.model, x, target, found.own)
            says = [text for text in (remark, found.says(0)) if text]
            maps = {method.name: found.own[0], "random weights": found.random[0]}
            shown = pictures.beside(image, white, maps, method.over)
            path = out / f"{number:03}-{stem}-{method.name}.png"
            lines = [f"{label}: {method.says}", *says]
            pictures.save(path, pictures.panels(shown, lines, not found.passed[0]))
            yield {
                "image": name,
                "method": method.name,
                "class": label,
                "file": str(path),
                "says": says,
                "passed": bool(found.passed[0]),
                "random_down_to": dict(zip(found.layers, found.alike[:, 0].tolist(), strict=True)),
            }
