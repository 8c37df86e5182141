"""The entry of qinetctl: light, so that Ctrl-C is met also while everything else is still being imported."""

import os
import sys
from collections.abc import Sequence

_INTERRUPTED = 130  # as exits.Exit, which is not imported yet when it is needed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, and return its exit code; nothing it meets ends in a traceback."""
    # What gRPC itself writes to standard error names its source lines, and what is wrong we say ourselves.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from controller.cli.commands import run

        return run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
