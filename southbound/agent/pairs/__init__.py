"""The pair engine of a node, sans I/O: an event-driven emulation of heralds, swaps, cut-offs and purification.

It knows nothing of the formulas by which routes are predicted. One `PairEngine` per node; a shell drives it:

    engine = PairEngine(node, hardware, random.Random(seed), now_s=now_s())
    engine.set_link("a-b", "b", model, now_s())          # for each entanglement link: what its hardware truly is
    engine.fault("a-b", now_s(), success_factor=0.5)     # faults to order; without factors the fault is over
    engine.set_paths(path_entries, now_s())              # all versions that are set here, at every change
    engine.peer_up("b", now_s())                         # a stream stands; peer_down when it has ended
    engine.handle("b", message, now_s())                 # what came on it: wire.message_from_pb(peer_message.pair)
    engine.tick(now_s())                                 # at engine.next_due() at the latest
    for effect in engine.drain(): ...                    # after every call: do what it asks

Effects (`effects.py`): `Send` a message on the stream to a neighbour (as `PeerMessage.pair`, by `wire.message_to_pb`;
an engine sends only between peer_up and peer_down); `Delivered` and `Measured` pairs; `PathChanged`: tell the path's
figures at once (`path_update`). `path_figures`, `link_figures` and `memories_in_use` are for reports; `service` is the
link-layer service of the node: CREATE, OK, ERR. Outcomes for key are the `Measured` with a `key_link`.

Time. `now_s` is on one clock per engine that never goes back; any zero will do. Times in messages are moments, not
ages: on the wire they are nanoseconds since 1970, so the shell gives `offset_ns` = wall clock less engine clock, taken
once when it starts, to both functions of `wire`. Nodes need synchronised clocks, as their photons do: what a skew
between two nodes does is to shift what one draws for the other by as much. In virtual time all engines have one clock
and there is no wire. What falls due is done as of its own time, however late; so is news of a swap, which is never
faster than light in the fibre. A slow machine tells of pairs late, and does not change their number or their state,
as long as it keeps up and is not late by as much as a cut-off.

Streams must keep their order and lose nothing while they stand. After each new stream the head begins the path anew.
"""

from southbound.agent.pairs.effects import Delivered, Effect, Measured, PairId, PathChanged, Send
from southbound.agent.pairs.engine import EntryRefused, PairEngine
from southbound.agent.pairs.estimate import Estimate
from southbound.agent.pairs.figures import LinkFigures, PathFigures

__all__ = [
    "Delivered",
    "Effect",
    "EntryRefused",
    "Estimate",
    "LinkFigures",
    "Measured",
    "PairEngine",
    "PairId",
    "PathChanged",
    "PathFigures",
    "Send",
]
