"""Options that many commands share."""

from typing import Annotated

import typer

ValidateOnly = Annotated[
    bool, typer.Option("--validate-only", "--dry-run", help="Tell what would happen, and change nothing.")
]
RequestId = Annotated[
    str, typer.Option("--request-id", metavar="ID", help="Makes the call safe to repeat: the same ID, the same result.")
]
Etag = Annotated[str, typer.Option("--etag", help="Only if it still has this etag; `show` tells it.")]
