"""What qinetctl's exit codes mean, and the exception that ends a command with one."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; they are API."""

    DONE = 0
    FAULT = 1  # qinetctl itself failed, or nobody reads its output any more
    USAGE = 2  # the command line is wrong; also typer's own code for that
    REFUSED = 3  # the controller said no, or there is no such resource
    UNREACHABLE = 4  # the controller gave no answer, or is not who it should be
    FILE = 5  # a file is missing, cannot be used, or has mistakes
    NOT_YET = 6  # --wait ended before the state was reached
    INTERRUPTED = 130  # Ctrl-C


CODES_HELP = (
    "Exit codes: 0 done; 1 qinetctl itself failed; 2 wrong command line; 3 refused by the controller; "
    "4 the controller is unreachable; 5 a file is missing or has mistakes; 6 --wait ended too early; 130 Ctrl-C."
)


class Stop(Exception):  # noqa: N818 (an answer, not an error of ours)
    """Ends the command: what to tell on stderr, and with which code.

    Attributes:
        code: Exit code.
        lines: The first says what is wrong; the others hold facts and what to do next.
    """

    def __init__(self, code: Exit, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.code = code
        self.lines = lines
