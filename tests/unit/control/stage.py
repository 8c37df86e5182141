"""A registry with a hand-turned clock, an inbox that can be full, and what came of it all."""

from collections.abc import Callable, Mapping

from controller.domain.events import AgentEvent
from controller.ports.observations import Observations
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.control.registry import Registry
from southbound.control.session import AgentSession
from southbound.control.settings import ControlSettings
from tests.unit.control.model_agent import ELECTION, ModelAgent


class Stage:
    """The controller's side, on a clock that stands still unless turned.

    Attributes:
        events: Delivered, in order.
        dones: To be called at a commit; by position in `events`.
        room: False makes the inbox full.
    """

    def __init__(self, settings: ControlSettings | None = None) -> None:
        self.now_ms = 1_000_000
        self.settings = settings or ControlSettings()
        self.events: list[AgentEvent] = []
        self.dones: list[Callable[[], None] | None] = []
        self.room = True
        self.observations = Observations()
        self.latencies: list[int] = []
        self.version = 0
        self.registry = Registry(
            deliver=self._deliver,
            observations=self.observations,
            settings=self.settings,
            jitter=lambda: 1.0,
            push_to_ack=self.latencies.append,
        )

    def _deliver(self, event: AgentEvent, done: Callable[[], None] | None) -> bool:
        if self.room:
            self.events.append(event)
            self.dones.append(done)
        return self.room

    def take(self, *kinds: type) -> list[AgentEvent]:
        """Return the events delivered since the last call, of those kinds (all without any)."""
        taken = [event for event in self.events if not kinds or isinstance(event, kinds)]
        self.events.clear()
        return taken

    def commit(self) -> None:
        """Tell that everything delivered so far is committed."""
        dones, self.dones = self.dones, []
        for done in dones:
            if done is not None:
                done()

    def push(self, desired: Mapping[str, bytes], node: str = "a", **more: Mapping[str, int]) -> None:
        self.version += 1
        self.registry.push({node: desired}, self.version, ELECTION, now_ms=self.now_ms, **more)

    def open(self, request: pb.SessionRequest, node: str = "a") -> AgentSession:
        return self.registry.open(node, request, self.now_ms)

    def hear(self, session: AgentSession, request: pb.SessionRequest) -> None:
        session.receive(request, self.now_ms)
        self.registry.collect(session)

    def tell(self, session: AgentSession, agent: ModelAgent) -> int:
        """Let the agent take all that is to be said; return how many messages that was."""
        count = 0
        while (message := session.next_message(self.now_ms)) is not None:
            agent.take(message)
            count += 1
        self.registry.collect(session)
        return count

    def settle(self, session: AgentSession, agent: ModelAgent) -> None:
        """Let both talk until neither has anything to say; time stands still."""
        for _ in range(100):
            self.tell(session, agent)
            answer = agent.answer()
            if answer is None:
                return
            self.hear(session, answer)
        raise AssertionError("they never come to rest")

    def pass_time(self, session: AgentSession, ms: int) -> None:
        self.now_ms += ms
        session.tick(self.now_ms)
        self.registry.collect(session)
        self.registry.tick(self.now_ms)
