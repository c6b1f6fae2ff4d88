"""The kinds of things that are checked, a module per family, and how each is put to work."""

from tensorgraph_check.kinds.functions import (
    ActivationSubject,
    LossSubject,
    OpSubject,
    RegularizerSubject,
)
from tensorgraph_check.kinds.kernel import BackendSubject, KernelSubject
from tensorgraph_check.kinds.layer import LayerSubject
from tensorgraph_check.kinds.optimizer import OptimizerSubject
from tensorgraph_check.subject import Subject

SUBJECTS: dict[str, type[Subject]] = {
    cls.kind: cls
    for cls in (
        LayerSubject,
        ActivationSubject,
        LossSubject,
        RegularizerSubject,
        OptimizerSubject,
        OpSubject,
        KernelSubject,
        BackendSubject,
    )
}
