"""A device that keeps account of which stream touches which bytes, and of what events order.

Each stream counts what it is asked for, and knows up to which count it has waited for each other
one. Two accesses to the same bytes, one of which writes, must lie on one stream, or the later
must have waited for the earlier. Launches say nothing of what they touch: who knows tells ``note``.
Memory that was freed may be handed out at the next allocation on the stream that it came from.
"""

from emulated_backend import WatchfulDevice


class FreedOn:
    """Tells the account when nobody holds a piece of memory any more."""

    def __init__(self, machine, stream, memory):
        self.machine, self.memory, self.stream = machine, memory, stream

    def __del__(self):
        self.machine.freed.append((self.stream, self.memory.address, self.memory.size))
        self.machine.kept.append(self.memory)  # no other stream is given it, as on a GPU


class OrderedDevice(WatchfulDevice):
    def __init__(self, libraries=None, *, backwards=False, machine=None):
        super().__init__(libraries, backwards=backwards, machine=machine)
        self.known = {}  # stream → how many of its accesses are done before what comes now here
        if machine is None:
            self.machine.accesses = []  # (first byte, last, writes, stream, count, by what)
            self.machine.freed = []  # (stream, address, size)
            self.machine.kept = []
            self.machine.host = {}  # stream → how much of it the host has waited for

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
                    known = max(self.known.get(stream, 0), self.machine.host.get(stream, 0))
                    assert known >= when, f"{name} does not wait for {who}"
                self.machine.accesses.append(
                    (start, start + size, writing, self.number, count, name)
                )

    def allocate(self, size):
        freed = [each for each in self.machine.freed if each[0] == self.number]
        for each in freed:
            self.machine.freed.remove(each)
        memory = super().allocate(size)
        spans = [span for _, *span in freed]
        start, end = memory.address, memory.address + size
        self.machine.accesses = [  # an array of the host's may have lain there
            each for each in self.machine.accesses if each[0] >= end or start >= each[1]
        ]
        self.note("memory that is handed out", writes=[*spans, (memory.address, size)])
        owner = FreedOn(self.machine, self.number, memory)
        return memory._replace(owner=owner)

    def finish(self, event):
        super().finish(event)
        for stream, count in event.known.items():
            self.machine.host[stream] = max(count, self.machine.host.get(stream, 0))

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
