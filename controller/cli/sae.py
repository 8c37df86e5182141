"""qinetctl sae: the directory of where SAEs are."""

from typing import Annotated

import typer

from controller.cli import completion
from controller.cli.connection import connected
from controller.cli.get import Filter, joined, pages
from controller.cli.names import full, short
from controller.cli.options import Etag, RequestId, ValidateOnly
from controller.cli.output import Format, Output, Sheet, emit, tell

app = typer.Typer(help="Keep the directory of SAEs: which node serves which application entity.", no_args_is_help=True)

SaeId = Annotated[
    str, typer.Argument(metavar="ID", help="Id of the SAE, as in its certificate.", autocompletion=completion.saes)
]


@app.command()
def add(
    context: typer.Context,
    sae_id: SaeId,
    node: Annotated[
        str, typer.Argument(help="Node whose GS QKD 014 server it calls.", autocompletion=completion.nodes)
    ],
    *,
    validate_only: ValidateOnly = False,
    request_id: RequestId = "",
    output: Output = Format.TABLE,
) -> None:
    """Add an SAE to the directory. Example: qinetctl sae add alice hakusan."""
    from controller.cli.tables import sae_table
    from qinet.northbound.v1 import application_pb2, application_service_pb2

    with connected(context) as network:
        request = application_service_pb2.CreateSaeRequest(
            sae_id=short(sae_id),
            sae=application_pb2.Sae(node=full("nodes", node)),
            request_id=request_id,
            validate_only=validate_only,
        )
        added = network.applications.CreateSae(request, timeout=network.timeout_s).sae
    if validate_only:
        tell("nothing was changed: the SAE would be added like this")
    emit(output, lambda: [sae_table([added])], added)


@app.command("list")
def list_(context: typer.Context, filters: Filter = None, output: Output = Format.TABLE) -> None:
    """List the directory. Filters: name, node."""
    from controller.cli.tables import sae_table
    from qinet.northbound.v1 import application_service_pb2 as pb

    with connected(context) as network:
        request = pb.ListSaesRequest(filter=joined(filters))
        found = list(pages(network, network.applications.ListSaes, request, "saes"))
    emit(output, lambda: [sae_table(found)], found)


@app.command()
def delete(context: typer.Context, sae_id: SaeId, etag: Etag = "", output: Output = Format.TABLE) -> None:
    """Take an SAE out of the directory. Applications that name it must go first."""
    from qinet.northbound.v1 import application_service_pb2 as pb

    with connected(context) as network:
        request = pb.DeleteSaeRequest(name=full("saes", sae_id), etag=etag)
        answer = network.applications.DeleteSae(request, timeout=network.timeout_s)
    emit(output, lambda: [Sheet(facts=(("sae", request.name), ("state", "gone")))], answer)
