"""Run files, the training loop, checkpoints, evaluation; the commands train, evaluate, predict."""

from __future__ import annotations

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register
from tensorgraph_train import averaging, callbacks

COMMANDS = ("train", "evaluate", "predict")


@hookimpl
def register_callbacks(register: Register) -> None:
    register("history", callbacks.History)
    register("progress", callbacks.Lines)
    register("weight_average", averaging.WeightAverage)


@hookimpl
def register_walks(register: Register) -> None:
    register("dataset", "tensorgraph_train.prepare:dataset_of")
    register("toml", "tensorgraph_train.toml:dumps")
    register("train", "tensorgraph_train.commands.train:train")
    register("run_file", "tensorgraph_train.parts:written_and_read")
    register("run_images", "tensorgraph_train.opened:images")
    register("model_inputs", "tensorgraph_train.opened:inputs")
    register("training_step", "tensorgraph_train.opened:step")
    register("trained_model", "tensorgraph_train.opened:model")
    register("unlabelled", "tensorgraph_train.answers:described")
    register("augmented", "tensorgraph_train.opened:augmented")
    register("trained", "tensorgraph_train.outcome:trained")


@hookimpl
def register_commands(register: Register) -> None:
    for name in COMMANDS:
        register(name, f"tensorgraph_train.commands.{name}:{name}")
