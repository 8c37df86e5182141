"""Enumerations of the domain and those of the stored messages: the same names, told apart by a prefix."""

from enum import Enum
from typing import Any, Final, Generic, TypeVar

from controller.domain.alarm import Severity
from controller.domain.entanglement_path import PairUse
from controller.domain.key_relay import Phase, Protection, RelayState
from controller.domain.link import Basis, Establishment, LinkKind
from controller.domain.node import Capability, Role, Technology
from controller.domain.pair_link import EndNodeKind, Regime
from controller.domain.placement import PlacementState, PlannedMoveState
from qinet.store.v1 import network_pb2, operation_pb2, pairs_pb2, placement_pb2, service_pb2

E = TypeVar("E", bound=Enum)


class Undecodable(Exception):  # noqa: N818 (said of the bytes)
    """Stored bytes that are not what this version or an earlier one wrote."""


class NewerSchema(Undecodable):
    """Stored bytes that a later version wrote."""


class StoredEnum(Generic[E]):
    """One enumeration, both ways.

    Raises:
        ValueError: On construction, a member of the domain has no number in the proto file.
    """

    def __init__(self, members: type[E], wrapper: Any, prefix: str) -> None:
        self._prefix = prefix
        self._numbers: dict[E, int] = {member: wrapper.Value(f"{prefix}_{member.name}") for member in members}
        self._members = {number: member for member, number in self._numbers.items()}

    def number(self, member: E) -> Any:
        """Return the stored number of a member; typed Any, since each generated enum is a type of its own."""
        return self._numbers[member]

    def member(self, number: int) -> E:
        """Return the member of a stored number.

        Raises:
            Undecodable: The number is UNSPECIFIED, or none that this version knows.
        """
        if number not in self._members:
            raise Undecodable(f"{self._prefix} has no value {number}")
        return self._members[number]


CAPABILITY: Final = StoredEnum(Capability, network_pb2.Capability, "CAPABILITY")
TECHNOLOGY: Final = StoredEnum(Technology, network_pb2.Technology, "TECHNOLOGY")
ROLE: Final = StoredEnum(Role, network_pb2.Role, "ROLE")
LINK_KIND: Final = StoredEnum(LinkKind, network_pb2.LinkKind, "LINK_KIND")
ESTABLISHMENT: Final = StoredEnum(Establishment, network_pb2.Establishment, "ESTABLISHMENT")
BASIS: Final = StoredEnum(Basis, network_pb2.Basis, "BASIS")
PROTECTION: Final = StoredEnum(Protection, service_pb2.Protection, "PROTECTION")
RELAY_STATE: Final = StoredEnum(RelayState, service_pb2.RelayState, "RELAY_STATE")
PHASE: Final = StoredEnum(Phase, service_pb2.Phase, "PHASE")
SEVERITY: Final = StoredEnum(Severity, operation_pb2.Severity, "SEVERITY")
REGIME: Final = StoredEnum(Regime, pairs_pb2.Regime, "REGIME")
END_NODE_KIND: Final = StoredEnum(EndNodeKind, pairs_pb2.EndNodeKind, "END_NODE_KIND")
PAIR_USE: Final = StoredEnum(PairUse, pairs_pb2.PairUse, "PAIR_USE")
PLACEMENT_STATE: Final = StoredEnum(PlacementState, placement_pb2.PlacementState, "PLACEMENT_STATE")
PLANNED_MOVE_STATE: Final = StoredEnum(PlannedMoveState, placement_pb2.PlannedMoveState, "PLANNED_MOVE_STATE")
