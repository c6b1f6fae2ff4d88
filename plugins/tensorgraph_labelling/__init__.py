"""Few labels: which images to label next, and training with few of them."""

from __future__ import annotations

from tensorgraph import hookimpl
from tensorgraph.hookspecs import Register
from tensorgraph_labelling import autoencoder, callbacks, teacher, unlabelled


@hookimpl
def register_commands(register: Register) -> None:
    register("pick", "tensorgraph_labelling.command:pick")
    register("cluster", "tensorgraph_labelling.command:cluster")


@hookimpl
def register_callbacks(register: Register) -> None:
    register("few_labels", callbacks.FewLabels)
    register("pseudo_labels", callbacks.PseudoLabels)
    register("unlabelled", unlabelled.Unlabelled)
    register("mean_teacher", teacher.MeanTeacher)
    register("reconstruction", autoencoder.Reconstruction)


@hookimpl
def register_models(register: Register) -> None:
    register("autoencoder", autoencoder.Autoencoder)


@hookimpl
def register_walks(register: Register) -> None:
    register("k_means", "tensorgraph_labelling.clusters:k_means")
    register("principal", "tensorgraph_labelling.clusters:principal")
    register("pick", "tensorgraph_labelling.sampling:choose")
