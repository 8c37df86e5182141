"""The agents port: what the writer tells the nodes' agents, and how what they say comes back."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from controller.domain.events import AgentEvent
from controller.domain.snapshot import ElectionId

NO_LIFETIMES: Final[Mapping[str, int]] = {}


class AgentPort(Protocol):
    """Brings the nodes to what is wanted of them, whenever their agents are there.

    It lives on the asyncio thread: the writer calls it inside its one `call_soon_threadsafe` per batch.
    """

    def push(
        self,
        desired: Mapping[str, Mapping[str, bytes] | None],
        version: int,
        election: ElectionId,
        *,
        remaining_s: Mapping[str, int] = NO_LIFETIMES,
    ) -> None:
        """Replace what is wanted of the named nodes; the others stay as they are. Never blocks, never fails.

        The first push names every node, and agents are let in from then on: a node never named is unknown, and
        its agent is refused. An agent that is not there gets the newest wish when it comes.

        Args:
            desired: By node, the whole configuration: content by entry id, as `controller.wire.entries` makes it.
                None takes the node out: its session ends and its agent is refused from then on.
            version: The log revision that it was compiled from; never falls.
            election: Under which it was decided. Another one than before ends all sessions.
            remaining_s: Seconds of life left, by entry id, for entries of services with a lifetime.
        """


class Deliver(Protocol):
    """Puts an event of an agent into the writer's inbox; called on the asyncio thread, never blocks.

    Events of one node are handed over in the order in which they happened.
    """

    def __call__(self, event: AgentEvent, done: Callable[[], None] | None) -> bool:
        """Take the event, or return False when the inbox is full: the caller keeps it and offers it again.

        Args:
            event: What happened. Whether the node may say it (is an end of the link, serves the relay) is checked
                by the writer.
            done: Called once on the asyncio thread, when the event's effect is committed or found to be none.
        """
