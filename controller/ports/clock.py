"""The clocks that the shell reads; the core is handed times as numbers."""

import time
from typing import Final, Protocol

# Goes on while the machine is suspended, as a lease does elsewhere; only Linux has it.
_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_NS_PER_MS: Final = 1_000_000


class Clock(Protocol):
    """Tells the time in whole milliseconds. Tests pass one that they turn by hand."""

    def monotonic_ms(self) -> int:
        """Return a time that only goes forward and stands still in suspension; for service time and time-outs."""

    def boot_ms(self) -> int:
        """Return a time that only goes forward and counts suspension; for leases."""

    def wall_ms(self) -> int:
        """Return milliseconds since 1970 UTC; for display only, it may jump."""


class SystemClock:
    """The machine's own clocks."""

    def monotonic_ms(self) -> int:
        """Return the monotonic clock."""
        return time.monotonic_ns() // _NS_PER_MS

    def boot_ms(self) -> int:
        """Return the boot clock."""
        return time.clock_gettime_ns(_BOOT_CLOCK) // _NS_PER_MS

    def wall_ms(self) -> int:
        """Return the wall clock."""
        return time.time_ns() // _NS_PER_MS
