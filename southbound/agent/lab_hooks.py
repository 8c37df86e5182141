"""What a laboratory may do to an agent of its fleet. `qinet-agent run` gives an agent none of it."""

from dataclasses import dataclass


@dataclass(slots=True)
class LabHooks:
    """Faults of one agent, read whenever they matter; they outlive its crash.

    Attributes:
        lies: It changes the keys that it passes on for others, with valid tags, as a compromised node could.
        delay_s: How late it obeys its controller; >= 0.
        clock_lost: Its clock is not to be relied on.
    """

    lies: bool = False
    delay_s: float = 0.0
    clock_lost: bool = False

    def pass_on(self, payload: bytes) -> bytes:
        """Return what is passed on in place of a payload."""
        return bytes([payload[0] ^ 1]) + payload[1:] if self.lies else payload
