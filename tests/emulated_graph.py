"""Graphs of the emulated device: what CUDA refuses while a stream is captured, and replays.

A stream takes part once it waits for an event of the graph; all that take part have to be waited
for by the first one before the capture ends; and no event goes from inside to outside or back.
"""


class Event:
    done = False
    capture = None  # the graph in which it was recorded
    reach = None  # stream → how much of it the event stands for


class Capture:
    """The nodes of a graph while it is captured, and what each stream knows of the others."""

    def __init__(self, origin):
        self.origin = origin
        self.nodes = []
        self.known = {origin: {origin: 0}}

    def add(self, stream, work):
        if stream not in self.known:
            raise RuntimeError(
                f"stream {stream} is used within a capture that it takes no part in: it has not "
                "waited for an event of the graph"
            )
        self.nodes.append((stream, work))
        self.known[stream][stream] = self.known[stream].get(stream, 0) + 1

    def record(self, stream, event):
        self.add(stream, lambda: setattr(event, "done", True))
        event.capture, event.reach = self, dict(self.known[stream])

    def wait(self, stream, event):
        if event.capture is not self:
            raise RuntimeError("a captured stream waits for an event from outside of the graph")
        self.nodes.append((stream, event))
        known = self.known.setdefault(stream, {stream: 0})
        for other, count in event.reach.items():
            known[other] = max(count, known.get(other, 0))

    def end(self):
        for stream, known in self.known.items():
            if known[stream] > self.known[self.origin].get(stream, 0):
                raise RuntimeError(f"the capture ends before stream {stream} is waited for")
        return self.nodes


def replay(nodes, backwards):
    """Run a graph. Its streams are ordered by events alone: of those that need not wait, the last
    goes on before the others, or else the first."""
    streams = {}
    for stream, node in nodes:
        streams.setdefault(stream, []).append(node)
        if isinstance(node, Event):
            node.done = False
    left = {stream: iter(found) for stream, found in sorted(streams.items(), reverse=not backwards)}
    heads = {stream: next(found) for stream, found in left.items()}
    while heads:
        ready = (s for s, node in heads.items() if not isinstance(node, Event) or node.done)
        stream = next(ready, None)
        assert stream is not None, "streams wait for each other's events for ever"
        node = heads[stream]
        if not isinstance(node, Event):
            node()
        heads[stream] = next(left[stream], None)
        if heads[stream] is None:
            del heads[stream]
