"""One end of a path: what becomes of the pairs that arrive there, and what it can report of them."""

import math
from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

from controller.domain.entanglement_path import PairUse
from controller.domain.pair_link import Regime
from southbound.agent.pairs.chance import shared_uniform
from southbound.agent.pairs.effects import Delivered, Effect, Measured, PairId, PathChanged, Voided
from southbound.agent.pairs.estimate import TestPairs
from southbound.agent.pairs.messages import Confirm, Outcome, Outcomes, PathMessage, Recent
from southbound.agent.pairs.part import Part, Phase
from southbound.agent.pairs.path_meter import PathMeter
from southbound.agent.pairs.states import Pair

_TEST, _TEST_BASIS, _HEAD_BASIS, _FAR_BASIS, _HEAD_BIT, _ERROR = range(6)
_CONFIRM_EVERY_S: Final = 1.0
_RECENT: Final = 128
_KNOWN: Final = 256
_CLOSE_S: Final = 1e-6  # times that are closer are not told apart: they have travelled
_MEASURES: Final = ("X", "Z")


class EndHost(Protocol):
    """The engine, as an end sees it."""

    now_s: float

    def effect(self, effect: Effect) -> None:
        """Have the shell do, or know, something."""

    def tell_other_end(self, part: Part, message: PathMessage) -> None:
        """Send to the other end of a path, hop by hop."""

    def keep(self, part: Part, pair: Pair, identity: PairId) -> bool:
        """Offer a pair to those who asked for pairs; False when nobody did, or there is no memory."""

    def void(self, sequences: frozenset[int]) -> None:
        """Give up what is kept of these pairs."""

    def measured(self, part: Part, identity: PairId, basis: str, bit: int) -> None:
        """Offer an outcome to those who asked for measured pairs."""


class PathEnd:
    """One path that ends at this node, over all its versions."""

    def __init__(self, host: EndHost, path: str, *, head: bool) -> None:
        self._host = host
        self.path = path
        self._head = head
        self.tests = TestPairs()
        self.meter = PathMeter()
        self.delivered_total = 0
        self.packet_total = 0
        self.confirmed: set[int] = set()
        """Versions on which both ends have had a pair."""
        self._delivered_on: set[int] = set()
        self._told_s: dict[int, float] = {}
        self._packet: tuple[int, float, int] = (0, -math.inf, 0)  # version, start of the window, pairs in it
        self.packet_dropped_total = 0
        self.starved = False
        self.voided_total = 0
        self._since_s = host.now_s
        self._recent: dict[int, deque[tuple[int, float]]] = {}
        """By version: the latest pairs and when they were swapped."""
        self._forgotten_s: dict[int, float] = {}
        """By version: when the latest of those was swapped that are no longer among them."""
        self._known: dict[int, None] = {}
        """Sequences of the latest pairs, the oldest first."""

    def look(self, parts: Iterable[Part]) -> None:
        """Follow what is promised, and tell when the end began or ceased to get less."""
        now_s = self._host.now_s
        active = [part for part in parts if part.phase is Phase.ACTIVE]
        newest = max(active, key=lambda part: part.version, default=None)
        self.meter.promise(0.0 if newest is None else newest.entry.rate_millihertz / 1000.0, now_s)
        if (starved := self.meter.starved(now_s)) is not self.starved:
            self.starved = starved
            self._host.effect(PathChanged(self.path))

    def forget_versions(self, kept: set[int]) -> None:
        """Forget versions that are no longer set here."""
        self.confirmed &= kept
        self._recent = {version: recent for version, recent in self._recent.items() if version in kept}
        self._forgotten_s = {version: at_s for version, at_s in self._forgotten_s.items() if version in kept}
        self._delivered_on &= kept
        self._told_s = {version: at_s for version, at_s in self._told_s.items() if version in kept}

    def delivered(self, part: Part, lane: int, pair: Pair) -> None:
        """Take a pair of a version that is in use."""
        now_s, entry = self._host.now_s, part.entry
        if pair.sequence in self._known:
            return  # told twice: its outcome must not count twice, least of all as key
        self._known[pair.sequence] = None
        if len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]
        recent = self._recent.setdefault(part.version, deque())
        recent.append((pair.sequence, pair.at_s))
        if len(recent) > _RECENT:
            _, at_s = recent.popleft()
            self._forgotten_s[part.version] = max(at_s, self._forgotten_s.get(part.version, at_s))
        identity = PairId(entry.head, entry.far, pair.sequence)
        test = shared_uniform(part.seed, pair.sequence, _TEST) < entry.test_share
        kept = False
        if test:
            index = int(3.0 * shared_uniform(part.seed, pair.sequence, _TEST_BASIS))
            outcome = Outcome(pair.sequence, "XYZ"[index], self._bit(part, pair, "XYZ"[index], "XYZ"[index]))
            self.tests.measured(outcome, now_s)
            self._host.tell_other_end(part, Outcomes(self.path, part.version, (outcome,)))
        else:
            self.delivered_total += 1
            if entry.use is PairUse.MEASURE:
                self._measure(part, pair)
            elif entry.packet_pairs:
                self._into_packet(part, now_s)
            else:
                kept = self._host.keep(part, pair, identity)
        self.meter.add(now_s, pair.fidelity, counted=not test)
        self._host.effect(
            Delivered(self.path, part.version, identity, lane, pair.state(), pair.at_s, pair.x, pair.z, test, kept)
        )
        self._confirm(part)

    def told(self, part: Part, message: PathMessage) -> None:
        """Take what the other end says."""
        if isinstance(message, Outcomes):
            for outcome in message.outcomes:
                self.tests.told(outcome, self._host.now_s)
        elif isinstance(message, Recent):
            self._compare(part, message)
        elif isinstance(message, Confirm) and message.version in self._delivered_on:
            self._confirmed(part.version)
            if not message.heard:
                self._host.tell_other_end(part, Confirm(self.path, part.version, True))

    def begun(self, part: Part, at_s: float) -> None:
        """Tell the other end what was delivered here before its path began anew."""
        recent = self._recent.get(part.version, deque())
        forgotten_s = self._forgotten_s.get(part.version)
        since_s = self._since_s if forgotten_s is None else forgotten_s + _CLOSE_S
        had = tuple(sequence for sequence, at in recent if since_s <= at < at_s)
        self._host.tell_other_end(part, Recent(self.path, part.version, since_s, at_s, had))

    def missed(self, part: Part, pair: Pair) -> None:
        """Tell the other end that a pair is void: there is no half of it here."""
        since_s, until_s = pair.at_s - _CLOSE_S, pair.at_s + _CLOSE_S
        recent = self._recent.get(part.version, deque())
        had = tuple(sequence for sequence, at_s in recent if abs(at_s - pair.at_s) <= 2.0 * _CLOSE_S)
        self._host.tell_other_end(part, Recent(self.path, part.version, since_s, until_s, had))

    def _compare(self, part: Part, message: Recent) -> None:
        theirs = set(message.sequences)
        recent = self._recent.get(part.version, deque())
        void = {
            sequence
            for sequence, at_s in recent
            if message.since_s <= at_s < message.until_s and sequence not in theirs
        }
        if void:
            self.voided_total += len(void)
            self._recent[part.version] = deque(one for one in recent if one[0] not in void)
            self._host.effect(Voided(self.path, part.version, tuple(sorted(void))))
            self._host.void(frozenset(void))

    def _confirm(self, part: Part) -> None:
        version = part.version
        self._delivered_on.add(version)
        if version in self.confirmed:
            return
        if self._host.now_s - self._told_s.get(version, -math.inf) >= _CONFIRM_EVERY_S:
            self._told_s[version] = self._host.now_s
            self._host.tell_other_end(part, Confirm(self.path, version, False))

    def _confirmed(self, version: int) -> None:
        if version not in self.confirmed:
            self.confirmed.add(version)
            self._host.effect(PathChanged(self.path))

    def _measure(self, part: Part, pair: Pair) -> None:
        seed, sequence = part.seed, pair.sequence
        head = _MEASURES[shared_uniform(seed, sequence, _HEAD_BASIS) < 0.5]
        far = _MEASURES[shared_uniform(seed, sequence, _FAR_BASIS) < 0.5]
        bit = self._bit(part, pair, head, far)
        basis = head if self._head else far
        self._host.effect(Measured(self.path, part.version, sequence, basis, bit, part.entry.key_link))
        if not part.entry.key_link:
            self._host.measured(part, PairId(part.entry.head, part.entry.far, sequence), basis, bit)

    def _bit(self, part: Part, pair: Pair, head_basis: str, far_basis: str) -> int:
        """Return this end's outcome. Both ends draw the joint outcome from the same numbers, so that it is drawn once.

        Each half is measured when its end has heard of the pair.
        """
        seed, sequence = part.seed, pair.sequence
        head_bit = int(shared_uniform(seed, sequence, _HEAD_BIT) < 0.5)
        if self._head:
            return head_bit
        agreement = 0.0
        if head_basis == far_basis:
            agreement = {"X": pair.xx, "Y": pair.yy, "Z": pair.zz}[far_basis] * _kept_until_heard(part, pair)
        error = shared_uniform(seed, sequence, _ERROR) >= 0.5 * (1.0 + agreement)
        return head_bit ^ error ^ (far_basis == "Y")

    def _into_packet(self, part: Part, now_s: float) -> None:
        entry = part.entry
        version, start_s, gathered = self._packet
        window_s = entry.packet_window_ms / 1000.0
        if version != part.version or now_s >= start_s + window_s:
            self.packet_dropped_total += gathered
            skipped = math.floor((now_s - start_s) / window_s) if version == part.version else 0
            start_s, gathered = (start_s + skipped * window_s if skipped else now_s), 0
        gathered += 1
        if gathered >= entry.packet_pairs:
            self.packet_total += 1
            gathered = 0
        self._packet = (part.version, start_s, gathered)


def _kept_until_heard(part: Part, pair: Pair) -> float:
    route = part.route
    if part.entry.regime not in (Regime.MEMORY, Regime.BUFFERED) or not route.segments:
        return 1.0
    place = next(one.place for one in route.segments if one.parent_place is None)
    head_s, far_s = route.news_s(0, place), route.news_s(place, route.last)
    return math.exp(-(pair.left_rate * head_s + pair.right_rate * far_s))
