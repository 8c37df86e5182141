"""What a check is, and what comes of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from southbound.conformance.bench import Bench


class Broken(Exception):  # noqa: N818 (what the agent did, and no fault of ours)
    """The agent does not keep the protocol; says what was seen."""


class Skipped(Exception):  # noqa: N818
    """The check cannot be done here; says what is missing."""


class Status(StrEnum):
    """What came of a check."""

    PASS = "pass"  # noqa: S105 (no password)
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One claim of the protocol.

    Attributes:
        id: As `update.wrong-base`; it is API.
        section: Where the protocol says so.
        demand: What it says.
        remedy: What to do where the agent does not keep it.
        work: Tries it, and returns what was seen; raises Broken or Skipped.
        looks_back: It judges what was said to the checks before, and says nothing itself.
    """

    id: str
    section: str
    demand: str
    remedy: str
    work: "Callable[[Bench], Awaitable[str]]"
    looks_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one check.

    Attributes:
        observed: What was seen, or why it was left out.
        took_s: How long it took.
    """

    check: Check
    status: Status
    observed: str
    took_s: float
