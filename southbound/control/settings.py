"""How the controller runs its sessions with agents."""

from dataclasses import dataclass

from controller.domain.refusals import InvalidValue


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    """Intervals, limits and patience of the sessions.

    Attributes:
        heartbeat_interval_ms: How often both sides say that they live.
        missed_heartbeats: How many missed ones end a session.
        report_interval_ms: How often an agent sends its complete state.
        hello_timeout_ms: How long a new stream may stay silent.
        answer_timeout_ms: How long an agent may take to answer an update or a question.
        max_message_bytes: Largest message taken from an agent.
        part_bytes: Larger updates go in parts of at most this size (an entry is never split).
        writer_patience_ms: After refused entries, how long the rest waits for the writer to take their services out.
        retry_first_ms, retry_most_ms: Back-off of refused entries: the first delay, doubled up to the most.
        inbox_retry_ms: How often events are offered again to a full inbox.
        duplicate_quiet_ms: A duplicate that has not knocked for so long is taken to be gone; agents that are refused
            knock every 10 s at the latest.
    """

    heartbeat_interval_ms: int = 2_000
    missed_heartbeats: int = 3
    report_interval_ms: int = 5_000
    hello_timeout_ms: int = 10_000
    answer_timeout_ms: int = 30_000
    max_message_bytes: int = 4 << 20
    part_bytes: int = 1 << 20
    writer_patience_ms: int = 2_000
    retry_first_ms: int = 1_000
    retry_most_ms: int = 300_000
    inbox_retry_ms: int = 20
    duplicate_quiet_ms: int = 30_000

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if getattr(self, name) < 1:
                raise InvalidValue("southbound", (name, f"{getattr(self, name)} is not positive"))

    @property
    def silence_ms(self) -> int:
        """Return after how much silence the other side counts as gone."""
        return self.missed_heartbeats * self.heartbeat_interval_ms
