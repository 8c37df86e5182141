"""qinetctl application: create and delete applications."""

from typing import Annotated

import typer

from controller.cli.connection import connected
from controller.cli.demand import UINT32_MAX
from controller.cli.names import full, short
from controller.cli.output import Format, Output, Sheet, emit, tell
from controller.cli.quantities import duration_pb
from controller.cli.relay import Etag, RequestId, ValidateOnly

app = typer.Typer(
    help="Create and delete applications: pairs of SAEs that share keys. `qinetctl get applications` lists them.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="Name of the application.")]


@app.command()
def create(
    context: typer.Context,
    name: Name,
    *,
    server_sae: Annotated[str, typer.Option("--server-sae", metavar="SAE", help="SAE that opens it, the master.")],
    client_sae: Annotated[
        list[str], typer.Option("--client-sae", metavar="SAE", help="The other SAE; this version serves one.")
    ],
    key_size: Annotated[
        int,
        typer.Option("--key-size", metavar="BIT", min=0, max=UINT32_MAX, help="Of a key where a request names none."),
    ] = 0,
    min_bandwidth: Annotated[
        int, typer.Option("--min-bandwidth", metavar="BIT/S", min=0, max=UINT32_MAX, help="Least key that it needs.")
    ] = 0,
    max_bandwidth: Annotated[
        int, typer.Option("--max-bandwidth", metavar="BIT/S", min=0, max=UINT32_MAX, help="Most key that it takes.")
    ] = 0,
    jitter: Annotated[
        int, typer.Option("--jitter", metavar="MS", min=0, max=UINT32_MAX, help="Most jitter that it bears.")
    ] = 0,
    ttl: Annotated[
        str | None, typer.Option("--ttl", metavar="TIME", help="How long an unused key may stay stored; default 1h.")
    ] = None,
    priority: Annotated[int, typer.Option(min=0, max=UINT32_MAX, help="Larger is more important.")] = 0,
    validate_only: ValidateOnly = False,
    request_id: RequestId = "",
    output: Output = Format.TABLE,
) -> None:
    """Create an application. A key relay that names it feeds it.

    Example: qinetctl application create mail --server-sae alice --client-sae bob
    """
    from controller.cli.tables import application_table
    from qinet.northbound.v1 import application_pb2, application_service_pb2

    qos = application_pb2.Qos(
        max_bandwidth_bit_per_s=max_bandwidth,
        min_bandwidth_bit_per_s=min_bandwidth,
        jitter_ms=jitter,
        ttl=None if ttl is None else duration_pb(ttl),
        priority=priority,
    )
    application = application_pb2.Application(
        server_sae=full("saes", server_sae),
        client_saes=[full("saes", one) for one in client_sae],
        key_size_bit=key_size,
        qos=qos if qos.ByteSize() else None,
    )
    with connected(context) as network:
        request = application_service_pb2.CreateApplicationRequest(
            application_id=short(name), application=application, request_id=request_id, validate_only=validate_only
        )
        created = network.applications.CreateApplication(request, timeout=network.timeout_s).application
    if validate_only:
        tell("nothing was changed: the application would be created like this")
    emit(output, lambda: [application_table([created])], created)


@app.command()
def delete(context: typer.Context, name: Name, etag: Etag = "", output: Output = Format.TABLE) -> None:
    """Delete an application. A key relay that names it must go first."""
    from qinet.northbound.v1 import application_service_pb2 as pb

    with connected(context) as network:
        request = pb.DeleteApplicationRequest(name=full("applications", name), etag=etag)
        answer = network.applications.DeleteApplication(request, timeout=network.timeout_s)
    emit(output, lambda: [Sheet(facts=(("application", request.name), ("state", "gone")))], answer)
