"""How a conformance run is done."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Intervals and patience of a run.

    Attributes:
        node: The node whose agent is tested; "" for the first that dials in.
        heartbeat_ms, report_ms: As the agent is told them.
        max_message_bytes: As the agent is told it; for the one check that tells less, see there.
        patience_s: How long the agent may take to dial in.
        answer_s: How long it may take to answer an update.
        restart: Kills the agent (as by SIGKILL) and starts it again; None leaves out what needs it.
    """

    node: str = ""
    heartbeat_ms: int = 500
    report_ms: int = 1000
    max_message_bytes: int = 4 << 20
    patience_s: float = 30.0
    answer_s: float = 10.0
    restart: Callable[[], Awaitable[None]] | None = None

    @property
    def heartbeat_s(self) -> float:
        """Return the heartbeat interval."""
        return self.heartbeat_ms / 1000

    @property
    def report_s(self) -> float:
        """Return the report interval."""
        return self.report_ms / 1000
