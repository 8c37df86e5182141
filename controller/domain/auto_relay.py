"""The policy for SAEs that ask for keys which no association serves yet (GS QKD 015 application_new)."""

from dataclasses import dataclass

from controller.domain.key_relay import Protection


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoRelay:
    """What such an SAE gets.

    Attributes:
        rate_millibit_per_s, priority, shares, protection, lifetime_s: Of each key relay, as of Demand.
        key_size_bit: Of each application.
        max_relays: Most key relays that are made so; beyond it, an operator has to make them.
    """

    rate_millibit_per_s: int
    priority: int = 0
    shares: int = 1
    protection: Protection = Protection.RESTORE
    lifetime_s: int | None = None
    key_size_bit: int = 256
    max_relays: int = 100
