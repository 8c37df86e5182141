"""What a key relay must do, as options of the commands that create one, change one, or look for its route."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from controller.cli import completion
from controller.cli.names import full
from controller.cli.quantities import duration_ms, duration_pb, rate_bit_per_s

if TYPE_CHECKING:
    from qinet.northbound.v1.key_relay_pb2 import KeyRelay

UINT32_MAX: Final = 2**32 - 1


class Protection(StrEnum):
    """What happens when the route fails, in the field's terms."""

    UNPROTECTED = "unprotected"
    RESTORE = "restore"
    ONE_FOR_ONE = "1:1"
    ONE_PLUS_ONE = "1+1"


WITH_BACKUP: Final = frozenset({Protection.ONE_FOR_ONE, Protection.ONE_PLUS_ONE})
"""Protections with routes to return from."""


class Restoration(StrEnum):
    """Who moves a relay when its route fails."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


Source = Annotated[str, typer.Argument(metavar="SOURCE", help="One end: a node.", autocompletion=completion.nodes)]
Destination = Annotated[
    str, typer.Argument(metavar="TARGET", help="The other end: a node.", autocompletion=completion.nodes)
]
Rate = Annotated[
    str | None,
    typer.Option("--rate", metavar="BIT/S", help="Key to deliver, both directions together; 1000, 2k, 3M."),
]
KeySize = Annotated[
    int | None,
    typer.Option("--key-size", metavar="BIT", min=0, max=UINT32_MAX, help="In place of --rate: size of a key;"),
]
Keys = Annotated[int, typer.Option("--keys", min=0, max=UINT32_MAX, help="so many of them")]
Every = Annotated[str, typer.Option("--every", metavar="TIME", help="in each interval: 30s, 5m, 1h.")]
Priority = Annotated[int, typer.Option(min=0, max=UINT32_MAX, help="Larger is more important.")]
NewPriority = Annotated[int | None, typer.Option("--priority", min=0, max=UINT32_MAX, help="Larger is more important.")]
MaxHops = Annotated[int | None, typer.Option(min=0, max=UINT32_MAX, help="Most links on a route.")]
AvoidNode = Annotated[
    list[str] | None,
    typer.Option(metavar="NODE", help="Node that no route may pass; repeatable.", autocompletion=completion.nodes),
]
AvoidLink = Annotated[
    list[str] | None,
    typer.Option(metavar="LINK", help="Link that no route may use; repeatable.", autocompletion=completion.links),
]
PassNode = Annotated[
    list[str] | None, typer.Option(metavar="NODE", help="Node to pass; repeatable.", autocompletion=completion.nodes)
]
PassLink = Annotated[
    list[str] | None, typer.Option(metavar="LINK", help="Link to use; repeatable.", autocompletion=completion.links)
]
TrustDomain = Annotated[
    list[str] | None, typer.Option(metavar="DOMAIN", help="Trust domain of transit nodes; repeatable; none: any.")
]
Shares = Annotated[int | None, typer.Option(min=0, max=UINT32_MAX, help="XOR shares on disjoint routes.")]
Application = Annotated[
    list[str] | None,
    typer.Option(
        "--application",
        metavar="APPLICATION",
        help="Application that the keys are for; repeatable.",
        autocompletion=completion.applications,
    ),
]
ProtectionWish = Annotated[Protection | None, typer.Option("--protection", help="What happens when the route fails.")]
AcceptBlockedWish = Annotated[
    bool | None,
    typer.Option(
        "--accept-blocked/--no-accept-blocked",
        help="Keep it BLOCKED, and retry it, when nothing carries it.",
        show_default=False,
    ),
]
EnableWish = Annotated[
    bool | None, typer.Option("--enable/--disable", help="Whether it is wanted now.", show_default=False)
]
RestorationWish = Annotated[
    Restoration | None, typer.Option("--restoration", help="Who moves it when its route fails: the controller, or you.")
]
Revertive = Annotated[
    bool | None,
    typer.Option("--revertive/--no-revertive", help="1:1 and 1+1: return to repaired routes.", show_default=False),
]
WaitToRestore = Annotated[
    str | None,
    typer.Option(
        "--wait-to-restore", metavar="TIME", help="How long they must have worked before it returns; default 5m."
    ),
]
Preempt = Annotated[
    bool | None,
    typer.Option(
        "--preempt/--no-preempt",
        help="Where there is no room, take the place of relays of lower priority.",
        show_default=False,
    ),
]
NoTrustedTransit = Annotated[
    bool | None,
    typer.Option(
        "--no-trusted-transit/--trusted-transit",
        help="No node but its ends may see the keys: only links directly between them serve it.",
        show_default=False,
    ),
]
HoldOff = Annotated[
    str | None, typer.Option("--hold-off", metavar="TIME", help="Ride out a cut on stored key for so long.")
]
Lifetime = Annotated[
    str | None, typer.Option("--lifetime", metavar="TIME", help="The relay ends by itself after that.")
]
ForwardShare = Annotated[
    float | None, typer.Option("--forward-share", help="Part of the rate that originates at SOURCE, 0 to 1.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The demand as typed; what is None is not asked for, and in a change of a relay stays as it is.

    Attributes:
        rate: As `rate_bit_per_s` reads it; None with a key size.
        key_size_bit: With `keys` and `every` in place of the rate.
    """

    source: str = ""
    target: str = ""
    rate: str | None = None
    key_size_bit: int | None = None
    keys: int = 1
    every: str = "1s"
    priority: int | None = None
    max_hops: int | None = None
    avoid_nodes: Sequence[str] = ()
    avoid_links: Sequence[str] = ()
    pass_nodes: Sequence[str] = ()
    pass_links: Sequence[str] = ()
    trust_domains: Sequence[str] = field(default=())
    shares: int | None = None
    applications: Sequence[str] = ()
    protection: Protection | None = None
    restoration: Restoration | None = None
    revertive: bool | None = None
    wait_to_restore: str | None = None
    preempt: bool | None = None
    no_trusted_transit: bool | None = None
    hold_off: str | None = None
    lifetime: str | None = None
    forward_share: float | None = None
    accept_blocked: bool | None = None
    enabled: bool | None = None


def demand_pb(demand: Demand) -> "KeyRelay":
    """Return the demand of a new relay as the API takes it. Whether it can be met is the controller's to say.

    Raises:
        typer.BadParameter: Neither or both of rate and key size are given, or something cannot be read.
    """
    if (demand.rate is None) == (demand.key_size_bit is None):
        raise typer.BadParameter("give either --rate, or --key-size with --keys and --every")
    relay, _ = change_pb(demand)
    relay.source = full("nodes", demand.source)
    relay.target = full("nodes", demand.target)
    return relay


def change_pb(demand: Demand) -> "tuple[KeyRelay, list[str]]":
    """Return what a demand says beside its ends, and the names of the fields that it sets, as in an update mask.

    Raises:
        typer.BadParameter: Both of rate and key size are given, or something cannot be read.
    """
    from qinet.northbound.v1.key_relay_pb2 import KeyRate, KeyRelay

    relay = KeyRelay()
    named: list[str] = []
    if demand.rate is not None and demand.key_size_bit is not None:
        raise typer.BadParameter("give either --rate, or --key-size with --keys and --every")
    if demand.rate is not None:
        relay.rate_bit_per_s = rate_bit_per_s(demand.rate)
        named.append("rate")
    elif demand.key_size_bit is not None:
        interval = duration_pb(demand.every)
        relay.key_rate.CopyFrom(KeyRate(key_size_bit=demand.key_size_bit, keys=demand.keys, interval=interval))
        named.append("rate")
    texts = {
        "avoid_nodes": [full("nodes", name) for name in demand.avoid_nodes],
        "avoid_links": [full("links", name) for name in demand.avoid_links],
        "pass_nodes": [full("nodes", name) for name in demand.pass_nodes],
        "pass_links": [full("links", name) for name in demand.pass_links],
        "trust_domains": demand.trust_domains,
        "applications": [full("applications", name) for name in demand.applications],
    }
    for name, several in texts.items():
        if several:
            getattr(relay, name).extend(several)
            named.append(name)
    values = {
        "priority": demand.priority,
        "max_hops": demand.max_hops,
        "shares": demand.shares,
        "revertive": demand.revertive,
        "may_preempt": demand.preempt,
        "no_trusted_transit": demand.no_trusted_transit,
        "forward_share": demand.forward_share,
        "accept_blocked": demand.accept_blocked,
        "admin_enabled": demand.enabled,
        "protection": demand.protection and KeyRelay.Protection.Value(f"PROTECTION_{demand.protection.name}"),
        "restoration_mode": demand.restoration
        and KeyRelay.RestorationMode.Value(f"RESTORATION_MODE_{demand.restoration.name}"),
    }
    for name, value in values.items():
        if value is not None:
            setattr(relay, name, value)
            named.append(name)
    spans = {"hold_off": demand.hold_off, "lifetime": demand.lifetime, "wait_to_restore": demand.wait_to_restore}
    for name, span in spans.items():
        if span is not None:
            duration_ms(span)
            getattr(relay, name).CopyFrom(duration_pb(span))
            named.append(name)
    return relay, named
