"""``tensorgraph explain``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

import tensorgraph as tg
from tensorgraph.errors import ConfigError
from tensorgraph.registry import near_miss

USUAL = ("grad_cam", "occlusion", "integrated_gradients")


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
            "feature_maps, filters or edges; may be given again "
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
        found = _explained(folder, images, method or USUAL, of_class, layer, out)
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return
    for row in found:
        print(f"{row['file']}: {row['class']}; {'; '.join(row['says'])}")


def _explained(
    folder: Path,
    images: list[Path],
    names: Any,
    of_class: str | None,
    layer: str | None,
    out: Path | None,
) -> list[dict[str, Any]]:
    from tensorgraph_explain import methods, pictures
    from tensorgraph_explain.asking import answers
    from tensorgraph_explain.sanity import sanity

    ways = {name: methods.method(name, layer) for name in names}
    asked = tg.plugins.walk("model_inputs", folder, images)
    if of_class is not None and of_class not in asked.classes:
        raise ConfigError(f"--class: the model has no {near_miss(of_class, asked.classes)}")
    wanted = None if of_class is None else asked.classes.index(of_class)
    out = out or folder / "explain"
    out.mkdir(parents=True, exist_ok=True)
    found = []
    for number, (name, image, white, values) in enumerate(asked.images, 1):
        x = tg.tensor(values)
        target = answers(asked.model, x, wanted)
        stem = re.sub(r"[^\w.-]+", "_", Path(name).stem)
        for way, run in ways.items():
            map = run(asked.model, x, target)
            checked = sanity(run, asked.model, x, target)
            said = [methods.remark(way, asked.model, x, target, map), checked.says(0)]
            said = [text for text in said if text]
            label = asked.classes[target[0]]
            if methods.METHODS[way].over:
                plain, drawn = pictures.over(image, white, map[0])
                random = pictures.over(image, white, checked.random[0])[1]
            else:
                plain = pictures.grey(pictures.flat(image), white)
                drawn, random = pictures.tiles(map[0]), pictures.tiles(checked.random[0])
            shown = [("image", plain), (way, drawn), ("random weights", random)]
            lines = [f"{label}: {methods.METHODS[way].says}", *said]
            path = out / f"{number:03}-{stem}-{way}.png"
            marked = [(text, "FAILED" in text) for text in lines]
            pictures.save(path, pictures.panels(shown, marked))
            row = {"image": name, "method": way, "class": label, "file": str(path), "says": said}
            passed, alike = bool(checked.passed[0]), checked.alike[:, 0].tolist()
            stages = dict(zip(checked.layers, alike, strict=True))
            found.append({**row, "passed": passed, "random_down_to": stages})
    return found
