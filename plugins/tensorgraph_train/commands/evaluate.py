"""``tensorgraph evaluate``."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from tensorgraph.errors import ConfigError
from tensorgraph_train.commands import common


def evaluate(
    folder: common.Folder,
    data: Annotated[
        str | None, typer.Option(metavar="PATH|NAME", help="Other images than the run's own.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, val, test or all [default: test].")
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="PPV and NPV where that share of people is ill."),
    ] = None,
    sensitivity: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Choose the threshold anew on validation, for this."),
    ] = None,
    views: common.Views = 0,
    backend: common.Backend = None,
    as_json: common.Json = False,
    skip_missing: Annotated[
        bool,
        typer.Option(
            "--skip-missing", help="Where a plugin is missing, show what is in the model's file."
        ),
    ] = False,
) -> None:
    """Measure a trained model on test images.

    Every figure has a 95 % interval. On the run's own test images it writes evaluation.json, the
    figures that the report shows; with --data, --views or another --split it only prints. A
    threshold that is chosen anew is stored with the model.
    """
    from tensorgraph_train import checkpoint, control, display, outcome, requirements, scores

    kinds = requirements.WITH_DATA if data is None else requirements.OF_MODEL
    if skip_missing and (inside := checkpoint.contents(folder, kinds)) is not None:
        if as_json:
            print(json.dumps(inside, indent=1, ensure_ascii=False))
        else:
            display.contents(inside)
        return
    with common.scope_of(folder, backend):
        run = dataclasses.replace(outcome.trained(folder, data), views=views)
        if sensitivity is not None:
            if data is not None:
                raise ConfigError(
                    "--sensitivity: a threshold is chosen on the run's own validation images; "
                    "evaluate once without --data, and then the others"
                )
            run = run.settled_anew({"sensitivity": sensitivity})
        name, indices = run.split(split)
        kept = data is None and not views and name == run.split(None)[0]
        evaluation = scores.evaluate(
            run.feed,
            run.outputs(indices),
            indices,
            name,
            run.card.decision,
            run.settings.evaluate.prevalence if prevalence is None else prevalence,
        )
    if views:
        evaluation["views"] = views
    if data is None:
        evaluation |= control.mark(run.settings)
    if kept:
        scores.save(folder, evaluation)
    if as_json:
        print(json.dumps(evaluation, indent=1, ensure_ascii=False))
    else:
        display.evaluation(evaluation, run.feed.dataset.name)
