"""Where options may stand on the command line: those of qinetctl itself also behind the command."""

from collections.abc import Sequence
from typing import Final

GLOBAL_OPTIONS: Final = frozenset(
    {"--controller", "--controller-name", "--pki", "--as", "--ca", "--cert", "--key", "--timeout"}
)
DEFAULT_WAIT: Final = "ACTIVE"
_HELP: Final = frozenset({"--help", "-h"})
_WAIT_FOR_STATE: Final = (["relay", "create"], ["entangle", "create"])
"""The commands whose `--wait` may name a state; elsewhere it is a flag."""


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
        if argument == "--wait" and rest[:2] in _WAIT_FOR_STATE:
            rest.append(f"--wait={DEFAULT_WAIT}")
        elif argument.partition("=")[0] in GLOBAL_OPTIONS:
            first.append(argument)
            if "=" not in argument and pending:
                first.append(pending.pop(0))
        else:
            rest.append(argument)
    return first + rest


def command_of(arguments: Sequence[str]) -> str:
    """Return the command of a line, as `normalised` returns lines; empty if there is none, or help on all comes first.

    >>> command_of(["--controller", "host:1", "get", "nodes"]), command_of(["--help", "get"])
    ('get', '')
    """
    value_follows = False
    for argument in arguments:
        if value_follows:
            value_follows = False
        elif argument in GLOBAL_OPTIONS:
            value_follows = True
        elif argument in _HELP:
            return ""
        elif not argument.startswith("-"):
            return argument
    return ""
