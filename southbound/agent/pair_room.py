"""Drives the pair engine of a node in real time, on its event loop: settings, messages and timers in; messages out."""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Final, Protocol

from controller.domain.entries import LinkEntry, PathEntry
from controller.domain.pair_link import PairHardware, PairModel
from qinet.peer.v1 import pairs_pb2 as pb
from southbound.agent.alarms import LINK_DOWN, Alarms
from southbound.agent.clock import Clock
from southbound.agent.modules import MODULE_MISSING
from southbound.agent.pair_faults import PairFaults
from southbound.agent.pairs.effects import Delivered, Failed, Kept, Measured, MeasuredFor, PathChanged, Send
from southbound.agent.pairs.engine import PairEngine
from southbound.agent.pairs.figures import LinkFigures, PathFigures
from southbound.agent.pairs.messages import LinkCondition, PairHello
from southbound.agent.pairs.service import Ack, Create
from southbound.agent.pairs.wire import message_from_pb, message_to_pb

log = logging.getLogger(__name__)

RECENT_PAIRS: Final = 1024
PATH_REFUSED: Final = "PATH_REFUSED"
EMULATION_LATE: Final = "EMULATION_LATE"
_LATE_S: Final = 1.0
_GRACE_S: Final = 0.05
"""How late news of a swap may be without a cut-off being carried out over it."""
_TURN_S: Final = 0.02
"""Most time that the engine makes up for at once: others get a turn even where it cannot keep up."""
_TURN_STEPS: Final = 500
"""Most timers that it serves at once, likewise: at enormous rates very many fall due in no time."""
_FULL: Final = 0.5
"""Where so much waits for a neighbour, pairs are made no further: its stream ends when it is full, for key too."""
_LONGEST_WAIT_S: Final = 3600.0


Reply = Kept | MeasuredFor | Failed


class PairStream(Protocol):
    """A stream to a peer that stands, or stood."""

    def send_pair(self, message: pb.PairMessage) -> None:
        """Send the message without waiting; drop it if the stream has ended."""

    @property
    def fill(self) -> float:
        """Return how much waits to be sent, over what may; ratio in [0, 1]."""


class PairRoom:
    """The pair engine of one node.

    All of its state is volatile: after a restart the head of each path begins anew once the streams stand again. It
    runs on service time, which goes on over restarts, so that no number of a pair is given twice; on the wire that is
    the wall clock as it was at the start, carried on evenly.
    """

    def __init__(
        self,
        node: str,
        hardware: PairHardware,
        find_model: Callable[[str], PairModel | None],
        faults: PairFaults,
        *,
        clock: Clock,
        service_s: Callable[[], float],
        alarms: Alarms,
        on_link: Callable[[str], None],
        on_path: Callable[[str], None],
        on_measured: Callable[[str, list[Measured]], None],
    ) -> None:
        """Prepare.

        Args:
            node: Whose it is.
            hardware: What it truly has.
            find_model: Gives what a link of this node truly does; None where it has no such link.
            faults: Those in force on its links.
            clock: For the times of alarms.
            service_s: Gives the service time.
            alarms: Where faults go.
            on_link: Called with a link that ceased or began to make pairs.
            on_path: Called with a path of which something is to be told at once.
            on_measured: Called with a key link and what was measured for it.
        """
        self._node = node
        self._find_model = find_model
        self._faults = faults
        self._clock = clock
        self._service_s = service_s
        self._offset_ns = clock.wall_ns() - round(service_s() * 1e9)
        self._alarms = alarms
        self._on_link = on_link
        self._on_path = on_path
        self._on_measured = on_measured
        self._engine = PairEngine(
            node,
            hardware,
            Random(secrets.randbits(128)),  # noqa: S311 (nature's dice, no secret)
            now_s=service_s(),
            grace_s=_GRACE_S,
        )
        self._streams: dict[str, PairStream] = {}
        self._links: dict[str, LinkEntry] = {}
        self._down: dict[str, str] = {}
        self._refused: set[str] = set()
        self._wake: asyncio.TimerHandle | None = None
        self._open = True
        faults.watch(self._on_fault)
        self._asked: dict[int, tuple[Callable[[Reply], None], int]] = {}
        """By request: who gets the replies, and how many pairs are still to come."""
        self.recent: deque[Delivered] = deque(maxlen=RECENT_PAIRS)
        """The last pairs delivered here, test pairs included."""

    @property
    def hardware(self) -> PairHardware:
        """Return what the node truly has."""
        return self._engine.hardware

    @property
    def memories_in_use(self) -> int:
        """Return how many qubits hold a half of a pair, or are set aside for one."""
        return self._engine.memories_in_use

    @property
    def late_s(self) -> float:
        """Return how far the engine is behind: above 0 where it has more to do than there is time for."""
        return max(0.0, self._service_s() - max(self._engine.next_due(), self._engine.now_s))

    def look_at_clock(self) -> None:
        """Raise an alarm where the emulation is behind, or clear it where it has caught up."""
        late_s = self.late_s
        if late_s > _LATE_S:
            problem = "pairs are emulated more slowly than time goes by: the machine is too busy, or asked for too many"
            self._alarms.raised("", EMULATION_LATE, problem, self._clock.wall_ms())
        elif late_s < _LATE_S / 10:
            self._alarms.cleared("", EMULATION_LATE)

    def neighbours(self) -> frozenset[str]:
        """Return the nodes that a stream is needed to."""
        return frozenset(entry.neighbour for entry in self._links.values())

    def down_reason(self, link: str) -> str:
        """Return why no pairs are made on a link; "" while they could be."""
        return self._down.get(link, "")

    def path_figures(self) -> list[PathFigures]:
        """Return what the node can tell of the paths that end here."""
        return self._engine.path_figures()

    def link_figures(self) -> dict[str, LinkFigures]:
        """Return what the node can tell of its links, by name."""
        return {one.link: one for one in self._engine.link_figures()}

    def configure(self, links: Iterable[LinkEntry], paths: Iterable[PathEntry]) -> None:
        """Follow these settings of links that make pairs, and these paths, and no others."""
        now_s, engine = self._now_s(), self._engine
        wanted = {entry.link: entry for entry in links}
        for link in self._links.keys() - wanted.keys():
            self._drop_link(link, now_s)
        for link, entry in wanted.items():
            self._links[link] = entry
            model = self._find_model(link)
            if model is None:
                problem = "this node has no hardware for the link: is it in the agent's topology file?"
                self._alarms.raised(f"links/{link}", MODULE_MISSING, problem, self._clock.wall_ms())
                continue
            self._alarms.cleared(f"links/{link}", MODULE_MISSING)
            engine.set_link(link, entry.neighbour, model, now_s, enabled=entry.enabled)
            self._apply_faults(link, now_s)
        problems = dict(str(problem).split(": ", 1) for problem in engine.set_paths(paths, now_s))
        for place in self._refused - problems.keys():
            self._alarms.cleared(place, PATH_REFUSED)
        for place, problem in problems.items():
            self._alarms.raised(place, PATH_REFUSED, problem, self._clock.wall_ms())
        self._refused = set(problems)
        self._carry_out()

    def create(self, create: Create, reply: Callable[[Reply], None]) -> Ack | Failed:
        """Ask for pairs of a path that ends here: CREATE of the link-layer draft, answered at once by ACK or ERR.

        Args:
            create: What is asked for.
            reply: Called with each OK, whose goodness refers to a time in seconds since 1970 UTC, and with each ERR.
        """
        self._engine.tick(self._now_s())
        answer = self._engine.service.create(create)
        if isinstance(answer, Ack):
            self._asked[answer.create_id] = (reply, create.number)
        self._carry_out()
        return answer

    def cancel(self, create_id: int) -> None:
        """Withdraw a request."""
        self._asked.pop(create_id, None)
        self._engine.service.cancel(create_id)
        self._carry_out()

    def release(self, logical_qubit: int) -> None:
        """Give back the memory of a pair that was handed over."""
        self._engine.service.release(logical_qubit)
        self._carry_out()

    def peer_up(self, node: str, stream: PairStream) -> None:
        """Send to a node on this stream from now on."""
        self._streams[node] = stream
        self._engine.peer_up(node, self._now_s())
        self._carry_out()

    def peer_down(self, node: str) -> None:
        """The stream to a node has ended."""
        if self._streams.pop(node, None) is not None and self._open:
            self._engine.peer_down(node, self._now_s())
            self._carry_out()

    def received(self, node: str, travelling: Sequence[pb.PairMessage]) -> None:
        """Take messages of a node's engine, in order."""
        if not self._open:
            return
        now_s = self._now_s()
        for one in travelling:
            message = message_from_pb(one, offset_ns=self._offset_ns)
            if message is None:
                continue
            self._engine.handle(node, message, now_s)
            if isinstance(message, LinkCondition | PairHello):
                for link, entry in self._links.items():
                    if entry.neighbour == node:
                        self._look_at(link)
        self._carry_out()

    def close(self) -> None:
        """Do nothing any more."""
        self._open = False
        if self._wake is not None:
            self._wake.cancel()
        self._faults.unwatch(self._on_fault)

    def _drop_link(self, link: str, now_s: float) -> None:
        del self._links[link]
        self._down.pop(link, None)
        self._engine.remove_link(link, now_s)
        for kind in (LINK_DOWN, MODULE_MISSING):
            self._alarms.cleared(f"links/{link}", kind)

    def _on_fault(self, link: str) -> None:
        if link in self._links:
            self._apply_faults(link, self._now_s())
            self._carry_out()

    def _apply_faults(self, link: str, now_s: float) -> None:
        condition = self._faults.of(link)
        self._engine.fault(
            link, now_s, success_factor=condition.factor, werner_factor=condition.werner_factor, cut=condition.cut
        )
        self._look_at(link)

    def _look_at(self, link: str) -> None:
        known = self._engine.link(link)
        dark = known is not None and (known.own.cut or known.far.cut)
        reason = "no light: the fibre is cut (simulated)" if dark else ""
        if reason == self._down.get(link, ""):
            return
        self._down[link] = reason
        if reason:
            self._alarms.raised(f"links/{link}", LINK_DOWN, reason, self._clock.wall_ms())
            log.warning("link down node=%s link=%s reason=%s", self._node, link, reason)
        else:
            self._alarms.cleared(f"links/{link}", LINK_DOWN)
            log.info("link up node=%s link=%s", self._node, link)
        self._on_link(link)

    def _now_s(self) -> float:
        """Return the time to which the engine goes on: not all the way at once where it is behind."""
        self._engine.steps_left = _TURN_STEPS
        if any(stream.fill > _FULL for stream in self._streams.values()):
            return self._engine.now_s
        due_s = max(self._engine.now_s, self._engine.next_due())
        return min(self._service_s(), due_s + _TURN_S)

    def _tick(self) -> None:
        self._wake = None
        if self._open:
            self._engine.tick(self._now_s())
            self._carry_out()

    def _carry_out(self) -> None:
        changed: dict[str, None] = {}
        measured: dict[str, list[Measured]] = {}
        replies: list[Reply] = []
        while effects := self._engine.drain():
            for effect in effects:
                match effect:
                    case Send(neighbour=node, message=message):
                        if (stream := self._streams.get(node)) is not None:
                            stream.send_pair(message_to_pb(message, offset_ns=self._offset_ns))
                    case Delivered():
                        self.recent.append(effect)
                    case Measured(key_link=link):
                        if link:
                            measured.setdefault(link, []).append(effect)
                    case PathChanged(path=path):
                        changed[path] = None
                    case Kept() | MeasuredFor() | Failed():
                        replies.append(effect)
        for link, outcomes in measured.items():
            self._on_measured(link, outcomes)
        for path in changed:
            self._on_path(path)
        self._rearm()
        for one in replies:
            self._reply(one)

    def _reply(self, told: Reply) -> None:
        asked = self._asked.get(told.create_id)
        if asked is None:
            return
        reply, left = asked
        left = 0 if isinstance(told, Failed) and not told.sequences else left - (not isinstance(told, Failed))
        if left > 0:
            self._asked[told.create_id] = (reply, left)
        else:
            del self._asked[told.create_id]
        if isinstance(told, Kept):
            told = told._replace(goodness_s=told.goodness_s + self._offset_ns / 1e9)
        reply(told)

    def _rearm(self) -> None:
        if not self._open:
            return
        if self._wake is not None:
            self._wake.cancel()
        wait_s = min(_LONGEST_WAIT_S, self._engine.next_due() - self._service_s())
        # At least a millisecond: what falls due in between is done together, and the loop has others to serve.
        self._wake = asyncio.get_running_loop().call_later(max(0.001, wait_s), self._tick)
