"""qinetctl pki: a lab CA and the certificates of the parties."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from controller.cli.connection import target_of
from controller.cli.output import Format, Output, as_text, tell

app = typer.Typer(
    help="Make a lab CA and certificates, in the directory that --pki names (QINET_PKI, default ./pki).",
    no_args_is_help=True,
)

Days = Annotated[int | None, typer.Option("--days", min=1, max=36_500, help="Lifetime; default: CA 3650, others 397.")]


@app.command()
def init(
    context: typer.Context,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a CA that is there; what it issued is then worthless.")
    ] = False,
    days: Days = None,
    output: Output = Format.TABLE,
) -> None:
    """Make a CA. Example: qinetctl pki init --pki lab."""
    from controller.identity.lab_ca import CA_LIFETIME, init_ca

    certificate = init_ca(
        target_of(context).pki,
        now=datetime.now(UTC),
        lifetime=CA_LIFETIME if days is None else timedelta(days=days),
        overwrite=overwrite,
    )
    key = certificate.with_suffix(".key")
    if output is Format.TABLE:
        print(certificate)
    else:
        sys.stdout.write(as_text({"certificate": str(certificate), "key": str(key)}, output))
    tell(f"keep {key} to yourself: who has it can be anybody")


@app.command()
def issue(
    context: typer.Context,
    identities: Annotated[
        list[str], typer.Argument(metavar="KIND/NAME...", help="node/NAME, user/NAME, controller/NAME or sae/NAME.")
    ],
    *,
    host: Annotated[
        list[str] | None,
        typer.Option("--host", metavar="HOST", help="Host name or IP address of a daemon; repeatable."),
    ] = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Replace a certificate that is there, keeping its key.")
    ] = False,
    days: Days = None,
    output: Output = Format.TABLE,
) -> None:
    """Issue certificates. Example: qinetctl pki issue node/koganei --host 192.0.2.7."""
    from controller.identity.lab_ca import issue as issue_certificate
    from controller.identity.peers import parse_identity

    parties = [parse_identity(text) for text in identities]
    issued: list[dict[str, str]] = []
    for party in parties:
        files = issue_certificate(
            target_of(context).pki,
            party,
            now=datetime.now(UTC),
            lifetime=None if days is None else timedelta(days=days),
            hosts=host or (),
            renew=renew,
        )
        issued.append({"identity": str(party), "certificate": str(files.certificate), "key": str(files.key)})
        if output is Format.TABLE:
            print(files.certificate)
    if output is not Format.TABLE:
        sys.stdout.write(as_text(issued, output))
