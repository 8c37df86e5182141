"""What qinet-agent's exit codes mean, and how a refusal becomes one."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; they are API."""

    DONE = 0
    FAULT = 1  # the agent failed while it ran, or a check of conformance
    USAGE = 2  # the command line is wrong; also typer's own code for that
    REFUSED = 3  # the lab said no, or there is no such link or node
    UNREACHABLE = 4  # the lab gave no answer, or is not who it should be
    FILE = 5  # a file, certificate, state directory or address cannot be used
    INTERRUPTED = 130  # Ctrl-C before it ran


CODES_HELP = (
    "Exit codes: 0 done; 1 the agent, or a check of conformance, failed; 2 wrong command line; 3 refused by the lab; "
    "4 the lab is unreachable; 5 a file, certificate, state directory or address cannot be used; 130 Ctrl-C."
)
