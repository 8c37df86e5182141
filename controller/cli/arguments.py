"""Where options may stand on the command line: those of qinetctl itself also behind the command."""

from collections.abc import Sequence
from typing import Final

GLOBAL_OPTIONS: Final = frozenset(
    {"--controller", "--controller-name", "--pki", "--as", "--ca", "--cert", "--key", "--timeout"}
)
DEFAULT_WAIT: Final = "ACTIVE"


def normalised(arguments: Sequence[str]) -> list[str]:
    """Return the arguments as the parser wants them: global options first, and `--wait` with its value.

    Every global option takes one value. What follows `--` stays as it is.

    >>> normalised(["get", "nodes", "--controller", "host:1", "-o", "json", "--as=user/alice"])
    ['--controller', 'host:1', '--as=user/alice', 'get', 'nodes', '-o', 'json']
    >>> normalised(["relay", "create", "--wait", "a", "b"])
    ['relay', 'create', '--wait=ACTIVE', 'a', 'b']
    """
    first: list[str] = []
    rest: list[str] = []
    pending = list(arguments)
    while pending:
        argument = pending.pop(0)
        if argument == "--":
            rest += [argument, *pending]
            break
        if argument == "--wait":
            rest.append(f"--wait={DEFAULT_WAIT}")
        elif argument.partition("=")[0] in GLOBAL_OPTIONS:
            first.append(argument)
            if "=" not in argument and pending:
                first.append(pending.pop(0))
        else:
            rest.append(argument)
    return first + rest
