"""A device that keeps account of which stream touches which bytes, and of what events order.

Each stream counts what it is asked for, and knows up to which count it has waited for each other
one. Two accesses to the same bytes, one of which writes, must lie on one stream, or the later
must have waited for the earlier. Launches say nothing of what they touch: who knows tells ``note``.
"""

from emulated_backend import WatchfulDevice


class OrderedDevice(WatchfulDevice):
    def __init__(self, libraries=None, *, backwards=False, machine=None):
        super().__init__(libraries, backwards=backwards, machine=machine)
        self.known = {}  # stream → how many of its accesses are done before what comes now here
        if machine is None:
            self.machine.accesses = []  # (first byte, last, writes, stream, count, by what)

    def beside(self):
        return OrderedDevice(self.machine.libraries, machine=self.machine)

    def note(self, name, reads=(), writes=()):
        count = self.known[self.number] = self.known.get(self.number, 0) + 1
        for spans, writing in ((reads, False), (writes, True)):
            for start, size in spans:
                for begin, end, wrote, stream, when, who in self.machine.accesses:
                    apart = begin >= start + size or start >= end
                    if apart or not (wrote or writing) or stream == self.number:
                        continue
                    assert self.known.get(stream, 0) >= when, f"{name} does not wait for {who}"
                self.machine.accesses.append(
                    (start, start + size, writing, self.number, count, name)
                )

    def copy(self, target, source, size):
        self.note("copy", [(source, size)], [(target, size)])
        super().copy(target, source, size)

    def copy_in(self, target, host):
        self.note("copy_in", [(host.ctypes.data, host.nbytes)], [(target, host.nbytes)])
        super().copy_in(target, host)

    def record(self):
        event = super().record()
        event.known = dict(self.known)
        return event

    def wait(self, event):
        super().wait(event)
        for stream, count in event.known.items():
            self.known[stream] = max(count, self.known.get(stream, 0))
