"""Plans for a GPU that is only described: which launches a step would be, of which nothing runs."""

from cuda_libraries import opened
from emulated_backend import EmulatedBackend, HostArrays
from tensorgraph_cupy.device import Memory
from tensorgraph_cupy.kernels.arrays import Arrays
from tensorgraph_cupy.plan.placement import Placement
from tensorgraph_cupy.plan.planner import Planner, segments
from tensorgraph_walks.record import Recording, tensors_in
from tensorgraph_walks.simplify import simplified

import tensorgraph as tg
from tensorgraph import config


class Described:
    """A device that notes what it is asked for, and has addresses but no memory."""

    name, processors, stream = "described", 132, 0

    def __init__(self):
        self.asked = []  # what would be nodes of a graph
        self.opened = {}
        self.next = 1 << 20

    def allocate(self, size):
        address, self.next = self.next, self.next + size + -size % 256
        return Memory(address, size)

    def launch(self, source, function, *_, **__):
        self.asked.append(function)

    def copy(self, target, source, size):
        self.asked.append("copy")

    def fill(self, target, size, byte=0):
        self.asked.append("fill")

    def copy_in(self, target, host):
        pass

    def do(self, work):
        """What a library would launch."""
        self.asked.append("library")

    def library(self, name):
        if name not in self.opened:
            self.opened[name] = opened()[name](self)
        return self.opened[name]

    def beside(self):
        return self

    def record(self):
        return None

    def wait(self, event):
        pass


class NumpyArrays(HostArrays):
    """What was recorded on NumPy; nothing reads it."""

    address = Arrays.address


class Planned:
    """A step's plan. ``asked``: task → what it asks the device for."""

    def __init__(self, program):
        self.device = Described()
        backend = EmulatedBackend(self.device)
        backend.arrays = NumpyArrays(backend.xp, self.device)
        self.planner = Planner(program, backend, self.device)
        self.tasks = self.planner.tasks
        self.program, self.layout = self.planner.program, self.planner.layout
        self.storage = self.planner.storage
        planned = self.planner
        self.places = Placement(
            planned.program, self.tasks, planned.layout, planned.storage, backend, self.device, {}
        )
        self.asked = {}
        for task in self.tasks:
            if task.captured:
                launch = task.bind(self.places)
                launch(self.device)  # the first time memory is made ready too
                self.device.asked = []
                launch(self.device)
                self.asked[task] = list(self.device.asked)
        self.copies = len(self.places.copies)  # new values of tensors, copied there at the end

    @property
    def left(self):
        """The ops that run by kernels of their own, each between two graphs."""
        return [task.calls[0].op.name for task in self.tasks if not task.captured]

    @property
    def graphs(self):
        return sum(each[0].captured for each in segments(self.tasks))

    @property
    def nodes(self):
        return sum(map(len, self.asked.values())) + self.copies


def planned(step, *arguments, precision="default"):
    """The plan that ``tg.compile(step)`` would have on a GPU; the step is recorded on NumPy."""
    with tg.use(backend="numpy"):
        recording = Recording(tensors_in(arguments))
        with config.listen(recording):
            out = step(*arguments)
        program = simplified(recording.finish(tensors_in(out)))
    with tg.use(precision=precision):
        return Planned(program)
