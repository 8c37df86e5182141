"""The story of a network of trusted nodes: a key relay, keys at both ends, and what a cut fibre does to them."""

from collections.abc import Callable
from typing import Any, Final

import grpc

from controller.cli.demo_keys import KeyClient
from controller.cli.demo_network import RELAY, Network, State
from controller.cli.demo_processes import MASTER, SLAVE, Daemons, wait_for
from controller.cli.demo_screen import Screen
from controller.domain.refusals import Precondition

KEY_BIT: Final = 256
KEYS: Final = 4
_RATE_BIT_PER_S: Final = 1000.0
_LOWEST_RATE_BIT_PER_S: Final = 1.0


class RelayStory:
    """Relays key between two nodes, cuts a link in use, and fetches a key made after that."""

    def __init__(self, source: str, target: str) -> None:
        self.source = source
        self.target = target

    def tell(self, daemons: Daemons, network: Network, screen: Screen) -> dict[str, Any]:
        """Do everything; return the outcome.

        Raises:
            Precondition: TIMED_OUT: something did not come about.
        """
        source, target = self.source, self.target
        with screen.step("key relay") as step:
            network.register((MASTER, source), (SLAVE, target))
            network.create(source, target, _rate(network, source, target))
            relay, _ = network.follow(
                lambda seen: seen.state == State.STATE_ACTIVE, network.within_s, "the relay to become ACTIVE"
            )
            links = [hop.link.removeprefix("links/") for hop in relay.routes[0].hops]
            step.note("over " + ", ".join(links))
        alice, bob = clients(daemons, source, target)
        with screen.step(f"{KEYS} keys at both ends over GS QKD 014") as step:
            equal = fetch_and_compare(alice, bob, KEYS)
            step.note("equal" if equal else "NOT EQUAL")
        with screen.step("two disjoint shares") as step:
            step.note(_two_shares(network, source, target))
        cut, detour = _link_to_cut(network, source, target, links)
        with screen.step(f"cut of {cut}") as step:
            after_cut, restore_s = _cut(network, cut, relay.route_version, detour=detour)
            step.note(after_cut + (f" in {restore_s:.2f} s" if restore_s is not None else ""))
        with screen.step("a key of the time after the cut") as step:
            equal = _use_up(network, alice, bob) and equal
            step.note("equal" if equal else "NOT EQUAL")
        if after_cut == "rode_on_store":
            with screen.step(f"repair of {cut}"):
                network.repair(cut)
                network.follow(lambda seen: not seen.riding_on_store, network.within_s, "word of the repair")
        # Its stock was just used up on purpose: it may be DEGRADED until the first key of the refill.
        network.follow(
            lambda seen: seen.state == State.STATE_ACTIVE, network.within_s, "the relay to be ACTIVE in the end"
        )
        return {"relays_active": 1, "keys_equal": equal, "after_cut": after_cut, "restore_s": restore_s}

    @staticmethod
    def held(outcome: dict[str, Any]) -> bool:
        """Tell whether an outcome is as it should be."""
        return bool(outcome["relays_active"] == 1 and outcome["keys_equal"])

    def to_try(self) -> list[str]:
        """Return commands with which to look around afterwards."""
        return [
            f"qinetctl relay show {RELAY}",
            f"qinetctl route {self.source} {self.target} --rate 100",
            "qinetctl watch relays",
        ]


def clients(daemons: Daemons, source: str, target: str) -> tuple[KeyClient, KeyClient]:
    """Return the two applications, each at its own node."""
    nodes = daemons.fleet["nodes"]
    return (
        KeyClient(daemons.pki, MASTER, nodes[source]["delivery"]),
        KeyClient(daemons.pki, SLAVE, nodes[target]["delivery"]),
    )


def fetch_and_compare(alice: KeyClient, bob: KeyClient, number: int) -> bool:
    """Fetch so many fresh keys at one end, and by their ids at the other; tell whether they are the same."""
    keys = alice.get_keys(SLAVE, number, KEY_BIT)
    return len(keys) == number and bob.get_keys_with_ids(MASTER, [key.key_id for key in keys]) == keys


def refused(ask: Callable[[], object]) -> str:
    """Ask the controller something; return why it refuses, or "" if it does not."""
    try:
        ask()
    except grpc.RpcError as refusal:
        if refusal.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            raise
        return refusal.details() or "refused"
    return ""


def _rate(network: Network, source: str, target: str) -> float:
    """Return the largest of a few sensible rates that fits."""
    rate = _RATE_BIT_PER_S
    while rate > _LOWEST_RATE_BIT_PER_S:
        if not refused(lambda: network.routes(source, target, rate)):  # noqa: B023 (called at once)
            break
        rate /= 4
    return rate


def _use_up(network: Network, alice: KeyClient, bob: KeyClient) -> bool:
    """Fetch keys until the stock of the time before the cut is used up, and one more. Oldest key is given first."""
    left_bit = max((end.stock_bit for end in network.relay().ends), default=0)
    most = int(alice.status(SLAVE)["max_key_per_request"])
    equal = True
    while left_bit >= 0 and equal:
        number = max(1, min(most, left_bit // KEY_BIT))
        try:
            equal = fetch_and_compare(alice, bob, number)
        except Precondition as problem:
            if problem.reason != "HTTP_503":
                raise
            # The stock is at its end, and key comes at the promised rate.
            wait_for(lambda: alice.status(SLAVE)["stored_key_count"] > 0, network.within_s, "more key")
            continue
        left_bit -= number * KEY_BIT
        if left_bit < KEY_BIT:
            break
    return equal and _fetch_one_more(alice, bob, network.within_s)


def _fetch_one_more(alice: KeyClient, bob: KeyClient, within_s: float) -> bool:
    wait_for(lambda: alice.status(SLAVE)["stored_key_count"] > 0, within_s, "more key")
    return fetch_and_compare(alice, bob, 1)


def _two_shares(network: Network, source: str, target: str) -> str:
    """Return what the controller says to two disjoint shares."""
    why = refused(lambda: network.routes(source, target, _LOWEST_RATE_BIT_PER_S, shares=2))
    return f"refused: {why}" if why else "two disjoint routes exist"


def _link_to_cut(network: Network, source: str, target: str, links: list[str]) -> tuple[str, bool]:
    """Return a link of the route, from the far end, that has a detour, and True; else the last link and False."""
    for link in reversed(links):
        if not refused(lambda: network.routes(source, target, _LOWEST_RATE_BIT_PER_S, avoid=f"links/{link}")):  # noqa: B023
            return link, True
    return links[-1], False


def _cut(network: Network, link: str, version: int, *, detour: bool) -> tuple[str, float | None]:
    """Cut a link and see what becomes of the relay.

    Returns:
        "rerouted" and the seconds from the order to the first key confirmed on the new route; or, where the graph has
        no detour, "rode_on_store" or "blocked_and_back".
    """
    ordered = network.cut(link)
    if detour:
        _, told = network.follow(
            lambda seen: seen.state == State.STATE_ACTIVE and seen.route_version > version,
            network.within_s,
            "the new route",
        )
        return "rerouted", round(told - ordered, 3)
    relay, _ = network.follow(
        lambda seen: seen.riding_on_store or seen.state == State.STATE_BLOCKED, network.within_s, "word of the cut"
    )
    if relay.riding_on_store:
        return "rode_on_store", None  # the fibre stays cut until a key was fetched that was made without it
    network.repair(link)
    _, told = network.follow(lambda seen: seen.state == State.STATE_ACTIVE, network.within_s, "the relay to come back")
    return "blocked_and_back", round(told - ordered, 3)
