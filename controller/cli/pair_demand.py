"""What an entanglement path must do, as options of the commands that create one, change one, or look for its route."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli import completion
from controller.cli.demand import UINT32_MAX, Restoration
from controller.cli.names import full
from controller.cli.quantities import duration_pb, rate_hz

if TYPE_CHECKING:
    from qinet.northbound.v1.entanglement_path_pb2 import EntanglementPath

PRE_SHARED = "pre-shared"


class Use(StrEnum):
    """What becomes of pairs at the ends."""

    KEEP = "keep"
    MEASURE = "measure"


class Protection(StrEnum):
    """What happens when the route fails."""

    UNPROTECTED = "unprotected"
    RESTORE = "restore"


Fidelity = Annotated[
    float | None,
    typer.Option("--fidelity", metavar="F", help="Least mean fidelity <Phi+|rho|Phi+> of delivered pairs, 0.25 to 1."),
]
Rate = Annotated[
    str | None, typer.Option("--rate", metavar="HZ", help="Pairs per second, test pairs not counted; 10, 2k, 0.5.")
]
PacketPairs = Annotated[
    int | None,
    typer.Option("--packet-pairs", metavar="N", min=0, max=UINT32_MAX, help="In place of --rate: pairs alive together"),
]
PacketWindow = Annotated[
    str | None, typer.Option("--packet-window", metavar="TIME", help="that are made within that time;")
]
PacketRate = Annotated[str | None, typer.Option("--packet-rate", metavar="HZ", help="so many such packets per second.")]
UseWish = Annotated[
    Use | None, typer.Option("--use", help="Whether the ends keep the pairs (default) or measure them at once.")
]
Purpose = Annotated[int | None, typer.Option("--purpose", min=0, max=65535, help="Like a port, for the ends.")]
Priority = Annotated[int | None, typer.Option("--priority", min=0, max=UINT32_MAX, help="Larger is more important.")]
MaxHops = Annotated[int | None, typer.Option("--max-hops", min=0, max=UINT32_MAX, help="Most links on the route.")]
Deadline = Annotated[
    str | None, typer.Option("--deadline", metavar="TIME", help="It ends where no pair was delivered within that.")
]
Lifetime = Annotated[str | None, typer.Option("--lifetime", metavar="TIME", help="The path ends by itself after that.")]
TestShare = Annotated[
    float | None,
    typer.Option("--test-share", metavar="R", help="Part of the pairs that is measured to estimate the fidelity."),
]
ProtectionWish = Annotated[Protection | None, typer.Option("--protection", help="What happens when the route fails.")]
HoldOff = Annotated[
    str | None, typer.Option("--hold-off", metavar="TIME", help="Wait out a fault for so long before it moves.")
]
KeyLink = Annotated[
    str | None,
    typer.Option("--key-link", metavar="LINK", help="Make key of the pairs (BBM92): the QKD link that this gives."),
]
Authentication = Annotated[
    str | None,
    typer.Option(
        "--authentication",
        metavar="RELAY",
        help="With --key-link: the key relay whose key authenticates it, or pre-shared.",
        autocompletion=completion.relays,
    ),
]
Block = Annotated[
    int | None,
    typer.Option("--block", metavar="BIT", min=0, max=UINT32_MAX, help="With --key-link: sifted bits of one block."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairWish:
    """The demand as typed; what is None is not asked for, and in a change of a path stays as it is.

    Attributes:
        rate: As `rate_hz` reads it; None with packets.
        packet_pairs, packet_window, packet_rate: All three in place of the rate.
    """

    source: str = ""
    target: str = ""
    fidelity: float | None = None
    rate: str | None = None
    packet_pairs: int | None = None
    packet_window: str | None = None
    packet_rate: str | None = None
    use: Use | None = None
    purpose: int | None = None
    priority: int | None = None
    deadline: str | None = None
    lifetime: str | None = None
    max_hops: int | None = None
    avoid_nodes: Sequence[str] = ()
    avoid_links: Sequence[str] = ()
    test_share: float | None = None
    protection: Protection | None = None
    restoration: Restoration | None = None
    hold_off: str | None = None
    key_link: str | None = None
    authentication: str | None = None
    block_bit: int | None = None
    accept_blocked: bool | None = None
    enabled: bool | None = None


def path_pb(wish: PairWish) -> "EntanglementPath":
    """Return the demand of a new path as the API takes it. Whether it can be met is the controller's to say.

    Raises:
        typer.BadParameter: Fidelity or rate is missing, or something cannot be read.
    """
    if wish.fidelity is None:
        raise typer.BadParameter("give --fidelity: the least that delivered pairs must have")
    if wish.rate is None and wish.packet_pairs is None:
        raise typer.BadParameter("give --rate, or --packet-pairs with --packet-window and --packet-rate")
    path, _ = path_change_pb(wish)
    path.source = full("nodes", wish.source)
    path.target = full("nodes", wish.target)
    return path


def path_change_pb(wish: PairWish) -> "tuple[EntanglementPath, list[str]]":
    """Return what a wish says beside its ends, and the names of the fields that it sets, as in an update mask.

    Raises:
        typer.BadParameter: Rate and packets are both given, packets in part, or something cannot be read.
    """
    from qinet.northbound.v1.entanglement_path_pb2 import EntanglementPath
    from qinet.northbound.v1.key_relay_pb2 import KeyRelay
    from qinet.types.v1.pairs_pb2 import PairUse

    path = EntanglementPath()
    named: list[str] = []
    if _service(wish, path):
        named.append("service")
    texts = {
        "avoid_nodes": [full("nodes", name) for name in wish.avoid_nodes],
        "avoid_links": [full("links", name) for name in wish.avoid_links],
    }
    for name, several in texts.items():
        if several:
            getattr(path, name).extend(several)
            named.append(name)
    # Pairs become key by being measured: who asks for key need not say so.
    use = wish.use or (Use.MEASURE if wish.key_link else None)
    values = {
        "minimum_fidelity": wish.fidelity,
        "use": use and PairUse.Value(f"PAIR_USE_{use.name}"),
        "purpose_id": wish.purpose,
        "priority": wish.priority,
        "max_hops": wish.max_hops,
        "test_share": wish.test_share,
        "protection": wish.protection and KeyRelay.Protection.Value(f"PROTECTION_{wish.protection.name}"),
        "restoration_mode": wish.restoration
        and KeyRelay.RestorationMode.Value(f"RESTORATION_MODE_{wish.restoration.name}"),
        "key_link": wish.key_link and full("links", wish.key_link),
        "authentication": wish.authentication and _key_of(wish.authentication),
        "distillation_block_bit": wish.block_bit,
        "accept_blocked": wish.accept_blocked,
        "admin_enabled": wish.enabled,
    }
    for name, value in values.items():
        if value is not None:
            setattr(path, name, value)
            named.append(name)
    spans = {"deadline": wish.deadline, "lifetime": wish.lifetime, "hold_off": wish.hold_off}
    for name, span in spans.items():
        if span is not None:
            getattr(path, name).CopyFrom(duration_pb(span))
            named.append(name)
    return path, named


def _service(wish: PairWish, path: "EntanglementPath") -> bool:
    """Set how many pairs are wanted; tell whether that was said."""
    from qinet.northbound.v1.entanglement_path_pb2 import Packets

    packets = (wish.packet_pairs, wish.packet_window, wish.packet_rate)
    if wish.rate is not None:
        if any(each is not None for each in packets):
            raise typer.BadParameter("give either --rate, or --packet-pairs with --packet-window and --packet-rate")
        path.rate_hz = rate_hz(wish.rate)
        return True
    if all(each is None for each in packets):
        return False
    if wish.packet_pairs is None or wish.packet_window is None or wish.packet_rate is None:
        raise typer.BadParameter("--packet-pairs, --packet-window and --packet-rate go together")
    path.packets.CopyFrom(
        Packets(pairs=wish.packet_pairs, window=duration_pb(wish.packet_window), rate_hz=rate_hz(wish.packet_rate))
    )
    return True


def _key_of(text: str) -> str:
    return text if text == PRE_SHARED else full("keyRelays", text)
