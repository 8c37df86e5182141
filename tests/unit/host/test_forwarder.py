"""A forwarder hands over in order, drops the oldest, tells the whole state then, and ends whatever the app does."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.service.host.forwarder import Fed, Forwarder


class App:
    """The queue of an app: `slots` are free; what was put is in `got`."""

    def __init__(self, slots: int) -> None:
        self._slots = threading.Semaphore(slots)
        self._put = threading.Condition()
        self.got: list[Fed] = []

    def reserve(self, within_s: float) -> bool:
        return self._slots.acquire(timeout=within_s)

    def put(self, fed: Fed) -> None:
        with self._put:
            self.got.append(fed)
            self._put.notify_all()

    def give_back(self) -> None:
        self._slots.release()

    def take(self, count: int) -> None:
        self._slots.release(count)

    def wait(self, enough: Callable[[list[Fed]], bool]) -> list[Fed]:
        with self._put:
            assert self._put.wait_for(lambda: enough(self.got), timeout=10), self.got
            return list(self.got)


class World:
    """A published revision, one forwarder, and who drops are told to."""

    def __init__(self, app: App, size: int) -> None:
        self.app = app
        self.revision = 0
        self.drops = 0
        self.forwarder = Forwarder("app", app, size=size, resync=self._resync, on_drop=self._dropped)

    def _resync(self, dropped: int) -> Fed:
        return Fed(("resync", dropped), revision=self.revision)

    def _dropped(self) -> None:
        self.drops += 1

    def commit(self) -> None:
        self.revision += 1
        self.forwarder.offer(Fed("changed", revision=self.revision))


@contextmanager
def world(slots: int, size: int = 8) -> Iterator[World]:
    made = World(App(slots), size)
    made.forwarder.start()
    try:
        yield made
    finally:
        made.forwarder.close()


def last_is(revision: int) -> Callable[[list[Fed]], bool]:
    return lambda got: bool(got) and got[-1].revision == revision


def test_the_whole_state_comes_first_then_every_change_in_order() -> None:
    with world(slots=100) as here:
        here.app.wait(lambda got: len(got) == 1)
        for _ in range(5):
            here.commit()
        got = here.app.wait(last_is(5))
    assert got == [Fed(("resync", 0), revision=0), *(Fed("changed", revision=each) for each in range(1, 6))]
    assert here.drops == 0


def test_an_app_that_does_not_take_loses_the_oldest_and_is_told_the_whole_state_of_now() -> None:
    with world(slots=1, size=3) as here:
        here.app.wait(lambda got: len(got) == 1)
        for _ in range(10):
            here.commit()
        assert here.forwarder.depth == 3
        here.app.take(100)
        here.app.wait(last_is(10))
        here.commit()
        got = here.app.wait(last_is(11))
    # What the resync contains already does not come after it.
    assert got[1:] == [Fed(("resync", 7), revision=10), Fed("changed", revision=11)]
    assert here.drops == 7


def test_what_a_resync_does_not_contain_still_comes_after_it() -> None:
    with world(slots=1, size=2) as here:
        here.app.wait(lambda got: len(got) == 1)
        for event in ("packet 1", "packet 2", "packet 3"):
            here.forwarder.offer(Fed(event, "main"))
        here.app.take(100)
        got = here.app.wait(lambda got: len(got) == 4)
    assert got[1:] == [Fed(("resync", 1), revision=0), Fed("packet 2", "main"), Fed("packet 3", "main")]


def test_who_lost_events_upstream_has_the_whole_state_told_again() -> None:
    with world(slots=100) as here:
        here.app.wait(lambda got: len(got) == 1)
        here.revision = 4
        here.forwarder.resync()
        assert here.app.wait(last_is(4))[1:] == [Fed(("resync", 0), revision=4)]


def test_it_ends_while_the_app_takes_nothing_and_takes_nothing_in_afterwards() -> None:
    with world(slots=0) as here:
        for _ in range(100):
            here.commit()
        here.forwarder.close()
        here.commit()
        assert here.forwarder.depth == 0
    assert here.app.got == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=6), min_size=1, max_size=30), st.integers(min_value=1, max_value=4))
def test_whenever_the_app_takes_it_never_sees_an_older_network_than_before(takes: list[int], size: int) -> None:
    with world(slots=1, size=size) as here:
        for count in takes:
            here.commit()
            if count:
                here.app.take(count)
        here.app.take(1000)
        got = here.app.wait(last_is(len(takes)))
    revisions = [fed.revision or 0 for fed in got]
    assert revisions == sorted(revisions)
    for before, after in itertools.pairwise(got):
        # Nothing is missing without a resync that says so.
        assert after.event != "changed" or after.revision == (before.revision or 0) + 1
