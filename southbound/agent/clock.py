"""The agent's clocks, and its service time: seconds that never go back and go on over a restart."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

# Counts while the machine is suspended; only Linux has it.
_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """Tells the time. Tests pass one that they turn by hand."""

    @property
    def boot_id(self) -> str:
        """Return what tells one boot of the machine from another; boot times of different boots do not compare."""

    def boot_s(self) -> float:
        """Return seconds since the machine's start, suspension included; never goes back."""

    def wall_ms(self) -> int:
        """Return milliseconds since 1970 UTC; may jump."""

    def wall_ns(self) -> int:
        """Return the same in nanoseconds: what nodes tell each other of pairs is finer than milliseconds."""


class SystemClock:
    """The machine's own clocks."""

    def __init__(self) -> None:
        self._boot_id = "unknown"
        with suppress(OSError):
            self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    @property
    def boot_id(self) -> str:
        """Return the kernel's boot id, "unknown" where it has none."""
        return self._boot_id

    def boot_s(self) -> float:
        """Return the boot clock."""
        return time.clock_gettime(_BOOT_CLOCK)

    def wall_ms(self) -> int:
        """Return the wall clock."""
        return self.wall_ns() // 1_000_000

    def wall_ns(self) -> int:
        """Return the wall clock."""
        return time.time_ns()


class CarriedWall:
    """The wall clock as it was when this began, carried on by the boot clock: it goes on evenly where that jumps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ms = clock.wall_ms() - clock.boot_s() * 1000

    def now_ms(self) -> int:
        """Return milliseconds since 1970 UTC."""
        return round(self._offset_ms + self._clock.boot_s() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A moment of service time, kept beside the data so that the next start can go on from it.

    Attributes:
        service_s: Seconds of service time.
        boot_id, boot_s, wall_ms: What the clocks showed then.
    """

    service_s: float
    boot_id: str
    boot_s: float
    wall_ms: int


class ServiceTime:
    """Counts seconds from the first start of a store on, the time between two processes included.

    Within one boot of the machine the boot clock measures that time, so that nobody can turn it. Over a reboot
    only the wall clock can; where that went back, the time counts as none.
    """

    def __init__(self, clock: Clock, last: Stamp | None) -> None:
        self._clock = clock
        self._started_s = clock.boot_s()
        if last is None:
            self._base_s = 0.0
        elif last.boot_id == clock.boot_id:
            self._base_s = last.service_s + max(0.0, self._started_s - last.boot_s)
        else:
            self._base_s = last.service_s + max(0, clock.wall_ms() - last.wall_ms) / 1000

    def now_s(self) -> float:
        """Return the service time."""
        return self._base_s + max(0.0, self._clock.boot_s() - self._started_s)

    def stamp(self) -> Stamp:
        """Return the moment, to be kept."""
        return Stamp(
            service_s=self.now_s(),
            boot_id=self._clock.boot_id,
            boot_s=self._clock.boot_s(),
            wall_ms=self._clock.wall_ms(),
        )
