"""qinetctl route: how a demand could be routed, without creating anything."""

from typing import Annotated

import typer

from controller.cli import demand
from controller.cli.connection import connected
from controller.cli.output import Format, Output, emit


def route(
    context: typer.Context,
    source: demand.Source,
    target: demand.Destination,
    *,
    rate: demand.Rate = None,
    key_size: demand.KeySize = None,
    keys: demand.Keys = 1,
    every: demand.Every = "1s",
    max_hops: demand.MaxHops = None,
    avoid_node: demand.AvoidNode = None,
    avoid_link: demand.AvoidLink = None,
    pass_node: demand.PassNode = None,
    pass_link: demand.PassLink = None,
    trust_domain: demand.TrustDomain = None,
    shares: demand.Shares = None,
    no_trusted_transit: demand.NoTrustedTransit = None,
    alternatives: Annotated[
        int, typer.Option("--alternatives", min=1, max=32, help="Most routes to show, best first.")
    ] = 3,
    output: Output = Format.TABLE,
) -> None:
    """Compute routes on the network as it is, best first; nothing is created or reserved.

    Without --rate or --key-size it asks for 1 bit/s: is there a way at all?
    """
    from controller.cli.tables import candidate_parts
    from qinet.northbound.v1 import key_relay_service_pb2 as pb

    wanted = demand.demand_pb(
        demand.Demand(
            source=source,
            target=target,
            rate="1" if rate is None and key_size is None else rate,
            key_size_bit=key_size,
            keys=keys,
            every=every,
            max_hops=max_hops,
            avoid_nodes=avoid_node or (),
            avoid_links=avoid_link or (),
            pass_nodes=pass_node or (),
            pass_links=pass_link or (),
            trust_domains=trust_domain or (),
            shares=shares,
            no_trusted_transit=no_trusted_transit,
        )
    )
    with connected(context) as network:
        request = pb.ComputeRoutesRequest(key_relay=wanted, max_candidates=alternatives)
        answer = network.relays.ComputeRoutes(request, timeout=network.timeout_s)
    emit(output, lambda: candidate_parts(answer), answer)
