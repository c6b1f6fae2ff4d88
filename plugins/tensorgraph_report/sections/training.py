"""Training: how the loss and the metric went from epoch to epoch."""

from __future__ import annotations

from typing import Any

from tensorgraph_report import parts
from tensorgraph_report.sections import count, named
from tensorgraph_report.study import Study


def training(study: Study) -> str:
    history = study.history
    if not history:
        return study.missing("history.jsonl", "how training went is not known")
    metric = study.run.get("train", {}).get("metric", "loss")
    key = f"val_{metric}"
    epochs = [row["epoch"] for row in history]
    best = best_epoch(history, key)
    figures = [_losses(study, epochs, best)]
    if key in history[-1] and metric != "loss":
        values = [row[key] for row in history]
        figure = study.plot()
        axes = figure.subplots()
        axes.plot(epochs, values, parts.DASHES[1], color=parts.COLOURS[1], marker=_marker(epochs))
        _mark(axes, best)
        axes.set(xlabel="epoch", ylabel=f"{named(metric)}, validation")
        figures.append(
            study.figure(
                figure,
                f"{named(metric)} on the validation images after each epoch. It chose the epoch "
                "whose weights were kept (dotted), so it is a little too good there; the test "
                "images had no say.",
                f"Line plot: {named(metric)} on validation goes from {values[0]:.3f} in epoch "
                f"{epochs[0]} to {values[-1]:.3f} in epoch {epochs[-1]}, with its best value "
                f"{max(values):.3f}.",
            )
        )
    kept = f"the weights kept are those of epoch {best}" if best else "the last weights were kept"
    seconds = sum(row["seconds"] for row in history)
    intro = study.text(f"{count(len(epochs), 'epoch')} took {duration(seconds)}; {kept}.")
    return intro + study.beside(*figures)


def best_epoch(history: list[dict[str, Any]], key: str) -> int | None:
    """The epoch whose weights were kept: the best by the metric, then by the loss."""
    if "val_loss" not in history[-1]:
        return None
    ranked: dict[int, tuple[float, float]] = {
        row["epoch"]: (row.get(key, 0.0) if key != "val_loss" else 0.0, -row["val_loss"])
        for row in history
    }
    return max(ranked, key=lambda epoch: ranked[epoch])


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _losses(study: Study, epochs: list[int], best: int | None) -> str:
    train = [row["loss"] for row in study.history]
    figure = study.plot()
    axes = figure.subplots()
    axes.plot(
        epochs,
        train,
        parts.DASHES[0],
        color=parts.COLOURS[0],
        label="training",
        marker=_marker(epochs),
    )
    alt = f"Line plot of the loss: on training images from {train[0]:.3f} to {train[-1]:.3f}"
    if "val_loss" in study.history[-1]:
        val = [row["val_loss"] for row in study.history]
        axes.plot(
            epochs,
            val,
            parts.DASHES[1],
            color=parts.COLOURS[1],
            label="validation",
            marker=_marker(epochs),
        )
        alt += f", on validation images from {val[0]:.3f} to {val[-1]:.3f}"
    _mark(axes, best)
    axes.set(xlabel="epoch", ylabel="loss")
    axes.legend()
    return study.figure(
        figure,
        "The loss: solid on the images it was trained on (while training), dashed on the "
        "validation images. Where the two part, the model begins to learn its images by heart.",
        f"{alt}.",
    )


def _marker(epochs: list[int]) -> str:
    """A line of a single point would not be seen."""
    return "o" if len(epochs) < 3 else ""


def _mark(axes: Any, best: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if best is not None:
        axes.axvline(best, color="#4a5360", linestyle=":", linewidth=1.2)
