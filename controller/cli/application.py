"""qinetctl application: create, change and delete applications."""

from typing import Annotated, Final

import typer

from controller.cli import completion
from controller.cli.connection import connected
from controller.cli.demand import UINT32_MAX
from controller.cli.names import full, short
from controller.cli.options import Etag, RequestId, ValidateOnly
from controller.cli.output import Format, Output, Sheet, emit, tell
from controller.cli.quantities import duration_pb
from controller.cli.relay_change import with_cleared

app = typer.Typer(
    help="Create, change and delete applications: SAEs that share keys. `qinetctl get applications` lists them.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="Name of the application.", autocompletion=completion.applications)]
CLEARED: Final = {
    "key-size": "key_size_bit",
    "min-bandwidth": "qos.min_bandwidth_bit_per_s",
    "max-bandwidth": "qos.max_bandwidth_bit_per_s",
    "jitter": "qos.jitter_ms",
    "ttl": "qos.ttl",
    "priority": "qos.priority",
}
"""By option, the field of the API that `--clear` sets back."""


@app.command()
def create(
    context: typer.Context,
    name: Name,
    *,
    server_sae: Annotated[
        str,
        typer.Option(
            "--server-sae", metavar="SAE", help="SAE that opens it, the master.", autocompletion=completion.saes
        ),
    ],
    client_sae: Annotated[
        list[str],
        typer.Option(
            "--client-sae", metavar="SAE", help="SAE that has the keys too; repeatable.", autocompletion=completion.saes
        ),
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


def _clearable(incomplete: str) -> list[str]:
    return [name for name in CLEARED if name.startswith(incomplete)]


@app.command()
def update(
    context: typer.Context,
    name: Name,
    *,
    client_sae: Annotated[
        list[str] | None,
        typer.Option(
            "--client-sae",
            metavar="SAE",
            help="All SAEs that have the keys too, in place of those there are; repeatable.",
            autocompletion=completion.saes,
        ),
    ] = None,
    key_size: Annotated[
        int | None,
        typer.Option("--key-size", metavar="BIT", min=0, max=UINT32_MAX, help="Of a key where a request names none."),
    ] = None,
    min_bandwidth: Annotated[
        int | None,
        typer.Option("--min-bandwidth", metavar="BIT/S", min=0, max=UINT32_MAX, help="Least key that it needs."),
    ] = None,
    max_bandwidth: Annotated[
        int | None,
        typer.Option("--max-bandwidth", metavar="BIT/S", min=0, max=UINT32_MAX, help="Most key that it takes."),
    ] = None,
    jitter: Annotated[
        int | None, typer.Option("--jitter", metavar="MS", min=0, max=UINT32_MAX, help="Most jitter that it bears.")
    ] = None,
    ttl: Annotated[
        str | None, typer.Option("--ttl", metavar="TIME", help="How long an unused key may stay stored.")
    ] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=UINT32_MAX, help="Larger is more important.")] = None,
    clear: Annotated[
        list[str] | None,
        typer.Option(
            "--clear",
            metavar="OPTION",
            help="Set an option back to its default, as `--clear ttl`; repeatable.",
            autocompletion=_clearable,
        ),
    ] = None,
    etag: Etag = "",
    validate_only: ValidateOnly = False,
    output: Output = Format.TABLE,
) -> None:
    """Change an application in place; what is not named stays.

    Example: qinetctl application update mail --client-sae bob --client-sae carol --clear ttl
    """
    from google.protobuf.field_mask_pb2 import FieldMask

    from controller.cli.tables import application_table
    from qinet.northbound.v1 import application_pb2, application_service_pb2

    figures = {
        "qos.min_bandwidth_bit_per_s": min_bandwidth,
        "qos.max_bandwidth_bit_per_s": max_bandwidth,
        "qos.jitter_ms": jitter,
        "qos.priority": priority,
    }
    given = {path: value for path, value in figures.items() if value is not None}
    qos = application_pb2.Qos(
        ttl=None if ttl is None else duration_pb(ttl), **{path.removeprefix("qos."): given[path] for path in given}
    )
    named = [
        *given,
        *([] if ttl is None else ["qos.ttl"]),
        *([] if key_size is None else ["key_size_bit"]),
        *(["client_saes"] if client_sae else []),
    ]
    mask = with_cleared(named, clear or (), CLEARED)
    application = application_pb2.Application(
        name=full("applications", name),
        client_saes=[full("saes", one) for one in client_sae or ()],
        key_size_bit=key_size or 0,
        qos=qos,
        etag=etag,
    )
    with connected(context) as network:
        request = application_service_pb2.UpdateApplicationRequest(
            application=application, update_mask=FieldMask(paths=mask), validate_only=validate_only
        )
        updated = network.applications.UpdateApplication(request, timeout=network.timeout_s).application
    if validate_only:
        tell("nothing was changed: the application would be like this")
    emit(output, lambda: [application_table([updated])], updated)


@app.command()
def delete(context: typer.Context, name: Name, etag: Etag = "", output: Output = Format.TABLE) -> None:
    """Delete an application. A key relay that names it must go first."""
    from qinet.northbound.v1 import application_service_pb2 as pb

    with connected(context) as network:
        request = pb.DeleteApplicationRequest(name=full("applications", name), etag=etag)
        answer = network.applications.DeleteApplication(request, timeout=network.timeout_s)
    emit(output, lambda: [Sheet(facts=(("application", request.name), ("state", "gone")))], answer)
