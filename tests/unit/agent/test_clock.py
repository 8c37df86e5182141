"""Service time never goes back, and goes on over a restart."""

from dataclasses import dataclass

from southbound.agent.clock import CarriedWall, ServiceTime


@dataclass
class HandClock:
    boot_id: str = "one"
    now_s: float = 1000.0
    wall: int = 1_000_000

    def boot_s(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return self.wall

    def wall_ns(self) -> int:
        return self.wall_ms() * 1_000_000


def test_it_counts_the_boot_clock_from_the_first_start() -> None:
    clock = HandClock()
    time = ServiceTime(clock, None)
    clock.now_s += 2.5
    clock.wall = 0
    assert time.now_s() == 2.5


def test_a_restart_in_the_same_boot_counts_the_time_between_whatever_the_wall_clock_says() -> None:
    clock = HandClock()
    stamp = ServiceTime(clock, None).stamp()
    clock.now_s += 60
    clock.wall -= 500_000
    assert ServiceTime(clock, stamp).now_s() == 60


def test_a_reboot_counts_the_wall_clock_and_nothing_where_that_went_back() -> None:
    clock = HandClock()
    time = ServiceTime(clock, None)
    clock.now_s += 10
    stamp = time.stamp()
    later = HandClock(boot_id="two", now_s=1.0, wall=clock.wall + 5000)
    assert ServiceTime(later, stamp).now_s() == 15
    earlier = HandClock(boot_id="two", now_s=1.0, wall=clock.wall - 5000)
    assert ServiceTime(earlier, stamp).now_s() == 10


def test_the_carried_wall_clock_goes_on_evenly_where_the_wall_clock_jumps() -> None:
    clock = HandClock()
    carried = CarriedWall(clock)
    clock.now_s += 2.5
    clock.wall += 3_600_000
    assert carried.now_ms() == 1_002_500
