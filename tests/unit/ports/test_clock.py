import time

from controller.ports.clock import Clock, SystemClock


def test_the_machines_clocks_are_told_in_milliseconds_and_the_steady_ones_never_go_back() -> None:
    clock: Clock = SystemClock()
    assert abs(clock.wall_ms() / 1000 - time.time()) < 60
    assert abs(clock.monotonic_ms() / 1000 - time.monotonic()) < 60
    for tell in (clock.monotonic_ms, clock.boot_ms):
        told = [tell() for _ in range(1000)]
        assert told == sorted(told)
