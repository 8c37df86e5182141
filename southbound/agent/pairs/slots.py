"""SLOT: every hop tries its channels once in each slot, every node swaps at once, and nothing survives the slot.

Slots are independent, so only those are looked at in which the first hop has pairs: whoever draws that hop skips the
others at once, and a sweep at the slot's end has each further hop drawn and each swap made, on towards the far end. The
n-th success of each hop forms lane n. Pairs of slots that nobody looks at are drawn in bulk, to be counted.
"""

from controller.domain.entries import PathEntry
from southbound.agent.pairs.links import attempts_until_success, binomial, successes_if_any
from southbound.agent.pairs.messages import Sweep, Swept
from southbound.agent.pairs.part import Host, Part, Phase, WorkMessage
from southbound.agent.pairs.route import HopPart, Route
from southbound.agent.pairs.states import Pair, SwapNoise, swapped
from southbound.agent.pairs.timers import Timer, near

_PERFECT = SwapNoise(1.0, 1.0, 1.0)


class Slots(Part):
    """The node's part in a path of the one-shot slot regime."""

    def __init__(self, host: Host, entry: PathEntry, route: Route) -> None:
        super().__init__(host, entry, route)
        self._hops = {hop.hop: hop for hop in route.hops}
        first = self._hops.get(0)
        self._first = first if first is not None and first.draws else None
        self._since_s = 0.0
        self._lit = False
        self._timer: Timer | None = None
        self._looked_s: dict[int, float] = {}
        self._channels = max(1, entry.lanes)
        self._taken = 0

    def begin(self, at_s: float) -> None:
        """See `Part`; the slots begin once their common length has come back from the far end."""
        self._since_s = at_s
        if not self.storeless:
            needed = self._channels * len(self.route.hops)
            self._taken = self.host.take_memories(needed, least=needed)
            if not self._taken:
                self.refused_total += 1
        self._looked_s = dict.fromkeys(self._hops, at_s)

    def activated(self) -> None:
        """See `Part`: draw the next slot in which the first hop has pairs."""
        if self._timer is None and self.phase is Phase.ACTIVE and not self._idle:
            self._since_s = max(self._since_s, self.host.now_s)
            self._draw()

    def clear(self) -> None:
        """See `Part`."""
        self.host.timers.off(self._timer)
        self._timer = None
        self.host.free_memories(self._taken)
        self._taken = 0

    @property
    def _idle(self) -> bool:
        return not (self._taken or self.storeless)

    def memories_freed(self) -> bool:
        """See `Part`."""
        return self._idle and self.host.memories_free >= self._channels * len(self.route.hops)

    def hop_changed(self, hop: HopPart) -> None:
        """See `Part`."""
        if self._first is hop and self.slot_s > 0.0 and self.phase is Phase.ACTIVE and not self._idle:
            self.host.timers.off(self._timer)
            now_s = self.host.now_s
            skipped = max(0, int((now_s - self._since_s) / self.slot_s))
            if self._lit:
                self.count(hop, skipped * self._channels, 0)
            self._since_s += skipped * self.slot_s
            self._draw()

    def pairs_on(self, link: str) -> int:
        """See `Part`: channels that try in every slot."""
        return sum(self._channels for hop in self.route.hops if hop.link == link and not self._idle)

    def handle(self, sender: str, message: WorkMessage) -> None:
        """See `Part`."""
        if not self.belongs(message.generation) or self._idle:
            self.late_total += 1
        elif isinstance(message, Swept):
            self._deliver(message.pairs)
        elif isinstance(message, Sweep) and sender == self.route.left:
            pairs = message.pairs[: self._channels]
            if not message.drawn:
                pairs = self._with_hop(pairs, self._hops[self.route.place - 1], message.at_s, _PERFECT)
            self._swap(pairs, message.at_s)

    def _draw(self) -> None:
        """Skip to the end of the next slot in which the first hop has pairs."""
        assert self._first is not None or self._timer is None
        self._timer = None
        if self._first is None or self.slot_s <= 0.0:
            return
        success = self.success(self._first)
        self._lit = self.lit(self._first)  # a dark fibre is not a weak one: nobody tries
        some = 1.0 - (1.0 - success) ** self._channels
        if some <= 0.0:
            return
        slots = attempts_until_success(some, self.host.random.random())
        end_s = self._since_s + slots * self.slot_s
        self._timer = self.host.timers.at(end_s, self._slot, end_s, slots, success)

    def _slot(self, end_s: float, slots: int, success: float) -> None:
        first = self._first
        assert first is not None
        if self.phase is Phase.DRAINING and end_s > self.end_s:
            return
        pairs = successes_if_any(self.host.random, self._channels, success)
        self.count(first, slots * self._channels, pairs)
        self._since_s = end_s
        made = tuple(self.heralded_pair(first, end_s) for _ in range(pairs))
        if first.at_left:
            self._pass_on(made, end_s, drawn=True)
        else:
            self._swap(made, end_s)
        self._draw()

    def _swap(self, pairs: tuple[Pair | None, ...], at_s: float) -> None:
        """Swap each lane with the hop onward, or deliver."""
        host, route = self.host, self.route
        if not any(pairs):
            return
        if route.place == route.last:
            self._deliver(pairs)
            assert route.left is not None
            host.send(route.left, Swept(self.path, self.version, self.generation, pairs))
            return
        done: list[Pair | None] = []
        for pair in pairs:
            good = pair is not None and host.random.random() < host.hardware.swap_success
            self.dropped_total += pair is not None and not good
            done.append(pair if good else None)
        onward = self._hops[route.place]
        if onward.draws:
            self._pass_on(self._with_hop(tuple(done), onward, at_s, host.noise), at_s, drawn=True)
            return
        rate = host.decay_rate(host.node)
        perfect = Pair(0, 1.0, 1.0, 1.0, at_s, rate, rate)
        self._pass_on(tuple(self._joined(one, perfect, host.noise, at_s) for one in done), at_s, drawn=False)

    def _joined(self, left: Pair | None, right: Pair, noise: SwapNoise, at_s: float) -> Pair | None:
        if left is None:
            return None
        host = self.host
        outcome = 0 if noise is _PERFECT else host.random.getrandbits(2)
        return swapped(left, right, noise, at_s, sequence=host.sequence(), outcome=outcome)

    def _with_hop(
        self, pairs: tuple[Pair | None, ...], hop: HopPart, at_s: float, noise: SwapNoise
    ) -> tuple[Pair | None, ...]:
        """Draw a hop's successes in a slot and join lanes with them; the n-th lane needs n of them."""
        random, success = self.host.random, self.success(hop)
        made = binomial(random, self._channels, success)
        if self.slot_s > 0.0:
            at_s = near(at_s, self.host.now_s)
            unseen = round((at_s - self._looked_s.get(hop.hop, at_s)) / self.slot_s) - 1
            more = max(0, unseen) * self._channels
            self.count(hop, more + self._channels, made + binomial(random, more, success))
            self._looked_s[hop.hop] = at_s
        return tuple(self._joined(one, self.heralded_pair(hop, at_s), noise, at_s) for one in pairs[:made])

    def _pass_on(self, pairs: tuple[Pair | None, ...], at_s: float, *, drawn: bool) -> None:
        route = self.route
        if route.right is not None and any(pairs):
            message = Sweep(self.path, self.version, self.generation, at_s, route.place + 1, pairs, drawn)
            self.host.send(route.right, message)

    def _deliver(self, pairs: tuple[Pair | None, ...]) -> None:
        for lane, pair in enumerate(pairs):
            if pair is not None:
                self.host.delivered(self, lane, pair)
