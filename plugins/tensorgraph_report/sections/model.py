"""Model: the network as a graph, with shapes and parameters."""

from __future__ import annotations

import tensorgraph as tg
from tensorgraph.errors import TensorgraphError
from tensorgraph_report.sections import axes
from tensorgraph_report.study import Study


def model(study: Study) -> str:
    card = study.card
    if not card:
        return study.missing("model.safetensors", "there is no trained model to show")
    spec = tg.Spec((1, *card["input"]), card["dtype"])
    try:
        found = study.model
    except (TensorgraphError, OSError) as error:
        study.notes.append(f"the model cannot be made here: {error}")
        return study.text("The model cannot be made here: a plugin that it needs is missing.")
    summary = found.summary(spec)
    options = ", ".join(f"{k} = {v}" for k, v in card["model"].items() if k != "name")
    body = study.text(
        f"{card['model']['name']}{f' ({options})' if options else ''}: {summary.parameters:,} "
        f"parameters, of which {summary.trainable:,} were trained; {summary.flops:,} floating-"
        "point operations for one image."
    )
    picture = tg.plugins.walk("diagram", found, spec)
    body += (
        f"<figure>{picture}<figcaption>The network, from the image at the top to a number for each "
        "class at the bottom. In each box: the layer, the shape of what it gives, "
        f"{axes(card['input'])}, and the number of its parameters; a line beside is a shortcut."
        "</figcaption></figure>\n"
    )
    rows = [
        [
            row.path,
            row.layer,
            "×".join(map(str, row.output.shape[1:])),
            f"{row.parameters:,}",
            f"{row.flops:,}",
        ]
        for row in summary.rows
    ]
    return body + study.table(
        ["path", "layer", "gives", "parameters", "FLOPs"],
        rows,
        "Every layer in the order in which it runs; a multiply-add counts as two operations.",
        folded="Every layer as a table",
    )
