"""What a key relay must do, as options of the commands that create one or look for its route."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

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


Source = Annotated[str, typer.Argument(metavar="SOURCE", help="One end: a node.")]
Destination = Annotated[str, typer.Argument(metavar="TARGET", help="The other end: a node.")]
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
MaxHops = Annotated[int | None, typer.Option(min=0, max=UINT32_MAX, help="Most links on a route.")]
AvoidNode = Annotated[list[str] | None, typer.Option(metavar="NODE", help="Node that no route may pass; repeatable.")]
AvoidLink = Annotated[list[str] | None, typer.Option(metavar="LINK", help="Link that no route may use; repeatable.")]
PassNode = Annotated[list[str] | None, typer.Option(metavar="NODE", help="Node to pass; repeatable.")]
PassLink = Annotated[list[str] | None, typer.Option(metavar="LINK", help="Link to use; repeatable.")]
TrustDomain = Annotated[
    list[str] | None, typer.Option(metavar="DOMAIN", help="Trust domain of transit nodes; repeatable; none: any.")
]
Shares = Annotated[int | None, typer.Option(min=0, max=UINT32_MAX, help="XOR shares on disjoint routes.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The demand as typed.

    Attributes:
        rate: As `rate_bit_per_s` reads it; None with a key size.
        key_size_bit: With `keys` and `every` in place of the rate.
    """

    source: str
    target: str
    rate: str | None = None
    key_size_bit: int | None = None
    keys: int = 1
    every: str = "1s"
    priority: int = 0
    max_hops: int | None = None
    avoid_nodes: Sequence[str] = ()
    avoid_links: Sequence[str] = ()
    pass_nodes: Sequence[str] = ()
    pass_links: Sequence[str] = ()
    trust_domains: Sequence[str] = field(default=())
    shares: int | None = None


def demand_pb(demand: Demand) -> "KeyRelay":
    """Return the demand as the API takes it. Whether it can be met is the controller's to say.

    Raises:
        typer.BadParameter: Neither or both of rate and key size are given, or one cannot be read.
    """
    from qinet.northbound.v1.key_relay_pb2 import KeyRate, KeyRelay

    if (demand.rate is None) == (demand.key_size_bit is None):
        raise typer.BadParameter("give either --rate, or --key-size with --keys and --every")
    relay = KeyRelay(
        source=full("nodes", demand.source),
        target=full("nodes", demand.target),
        priority=demand.priority,
        max_hops=demand.max_hops,
        avoid_nodes=[full("nodes", name) for name in demand.avoid_nodes],
        avoid_links=[full("links", name) for name in demand.avoid_links],
        pass_nodes=[full("nodes", name) for name in demand.pass_nodes],
        pass_links=[full("links", name) for name in demand.pass_links],
        trust_domains=demand.trust_domains,
        shares=demand.shares,
    )
    if demand.rate is not None:
        relay.rate_bit_per_s = rate_bit_per_s(demand.rate)
    elif demand.key_size_bit is not None:
        duration_ms(demand.every)
        relay.key_rate.CopyFrom(
            KeyRate(key_size_bit=demand.key_size_bit, keys=demand.keys, interval=duration_pb(demand.every))
        )
    return relay
