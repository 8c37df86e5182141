"""A node: what it can do, and the interfaces it has."""

from dataclasses import dataclass
from enum import Enum

from controller.domain.names import label
from controller.domain.pair_link import PairHardware
from controller.domain.refusals import InvalidValue

UINT32_MAX = 2**32 - 1


class Capability(Enum):
    """What a node can do. A node has capabilities, not one fixed type."""

    KEY_RELAY = "key_relay"
    KEY_DELIVERY = "key_delivery"
    LINK_STATISTICS = "link_statistics"
    APPLICATION_STATISTICS = "application_statistics"
    ENTANGLEMENT = "entanglement"
    OPTICAL_SWITCH = "optical_switch"
    UNTRUSTED_MEASUREMENT = "untrusted_measurement"


class Technology(Enum):
    """The kind of a module (GS QKD 015 qkd-technology-types, and entanglement)."""

    DV_QKD = "DV-QKD"
    CV_QKD = "CV-QKD"
    DV_QKD_COW = "DV-QKD-COW"
    DV_QKD_2WS = "DV-QKD-2Ws"
    ENTANGLEMENT = "ENTANGLEMENT"


class Role(Enum):
    """What a module does on its link (GS QKD 015 qkd-role-types)."""

    TRANSMITTER = "TRANSMITTER"
    RECEIVER = "RECEIVER"
    TRANSCEIVER = "TRANSCEIVER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A QKD module or an entanglement port of a node.

    Attributes:
        number: Unique within the node; uint32; GS QKD 015's `qkdi_id`.
        model: Vendor and device, free text.
        max_absorption_db: Tolerated channel loss in dB; None when unknown; else >= 0.
        device, port: Where it is plugged in, for optical switching; "" and 0 when directly on fibre.
    """

    number: int
    technology: Technology
    role: Role = Role.TRANSCEIVER
    model: str = ""
    max_absorption_db: float | None = None
    wavelength_range: str = ""
    device: str = ""
    port: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.number <= UINT32_MAX:
            raise InvalidValue("", ("number", f"{self.number} is not in 0..{UINT32_MAX}"))
        if self.max_absorption_db is not None and not 0 <= self.max_absorption_db < 1000:
            raise InvalidValue("", ("max_absorption_db", f"{self.max_absorption_db} is not in 0..1000"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A place in the network with an agent.

    Attributes:
        name: DNS label.
        location: GS QKD 015's `qkdn_location_id`: nodes of one location fall together; "" means a place of its own.
        trust_domain: Who runs it; "" means the operator's own.
        longitude_deg, latitude_deg: For maps; None when unknown.
        pairs: What it has for entanglement; None for nothing.
        admin_enabled: False keeps every new service off the node.
        maintenance: True while people work on it: no new services pass, what runs stays.
    """

    name: str
    location: str = ""
    trust_domain: str = ""
    capabilities: frozenset[Capability] = frozenset({Capability.KEY_RELAY, Capability.KEY_DELIVERY})
    interfaces: tuple[Interface, ...] = ()
    longitude_deg: float | None = None
    latitude_deg: float | None = None
    admin_enabled: bool = True
    maintenance: bool = False
    pairs: PairHardware | None = None

    def __post_init__(self) -> None:
        label(f"nodes/{self.name}", "name", self.name)
        numbers = [interface.number for interface in self.interfaces]
        if len(numbers) != len(set(numbers)):
            raise InvalidValue(f"nodes/{self.name}", ("interfaces", "two interfaces have the same number"))

    @property
    def place(self) -> str:
        """Return what two nodes share when one event can take both: the location, else the node itself."""
        return self.location or f"nodes/{self.name}"

    def interface(self, number: int) -> Interface | None:
        """Return the interface of that number, or None."""
        return next((interface for interface in self.interfaces if interface.number == number), None)
