"""Applications: who consumes keys, and the directory of where their SAEs are."""

from dataclasses import dataclass

from controller.domain.names import label, sae_id
from controller.domain.node import UINT32_MAX
from controller.domain.refusals import InvalidValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Sae:
    """A secure application entity (GS QKD 014) and the node that serves it."""

    id: str
    node: str

    def __post_init__(self) -> None:
        sae_id(f"saes/{self.id}", "id", self.id)
        label(f"saes/{self.id}", "node", self.node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Qos:
    """What an application asks of its keys (GS QKD 015 app_qos; our defaults).

    Attributes:
        max_bandwidth_bit_per_s, min_bandwidth_bit_per_s: uint32; 0 means not stated.
        jitter_ms: uint32; 0 means not stated.
        ttl_s: How long an unused key may stay stored; uint32, > 0.
        priority: uint32; larger is more important.
    """

    max_bandwidth_bit_per_s: int = 0
    min_bandwidth_bit_per_s: int = 0
    jitter_ms: int = 0
    ttl_s: int = 3600
    priority: int = 0

    def __post_init__(self) -> None:
        for name in ("max_bandwidth_bit_per_s", "min_bandwidth_bit_per_s", "jitter_ms", "ttl_s", "priority"):
            value = getattr(self, name)
            if not 0 <= value <= UINT32_MAX:
                raise InvalidValue("", (f"qos.{name}", f"{value} is not in 0..{UINT32_MAX}"))
        if self.ttl_s == 0:
            raise InvalidValue("", ("qos.ttl_s", "0 would erase every key at once; leave it out for 3600"))
        if self.max_bandwidth_bit_per_s and self.max_bandwidth_bit_per_s < self.min_bandwidth_bit_per_s:
            raise InvalidValue("", ("qos.max_bandwidth_bit_per_s", "is below min_bandwidth_bit_per_s"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The set of entities that share keys: GS QKD 015 `qkd_app`, GS QKD 014 SAE pair.

    Attributes:
        name: DNS label.
        server_sae: The SAE that opened it; 014's usual master.
        client_saes: The other SAEs allowed to have the keys, at least one.
        key_size_bit: Default key size; a multiple of 8 in 64..8192.
    """

    name: str
    server_sae: str
    client_saes: tuple[str, ...]
    qos: Qos = Qos()
    key_size_bit: int = 256

    def __post_init__(self) -> None:
        where = f"applications/{self.name}"
        label(where, "name", self.name)
        sae_id(where, "server_sae", self.server_sae)
        if not self.client_saes:
            raise InvalidValue(where, ("client_saes", "at least one is needed"))
        for client in self.client_saes:
            sae_id(where, "client_saes", client)
        if len({self.server_sae, *self.client_saes}) != 1 + len(self.client_saes):
            raise InvalidValue(where, ("client_saes", "an SAE is named twice"))
        if self.key_size_bit % 8 or not 64 <= self.key_size_bit <= 8192:
            raise InvalidValue(where, ("key_size_bit", f"{self.key_size_bit} is not a multiple of 8 in 64..8192"))

    @property
    def saes(self) -> tuple[str, ...]:
        """Return all its SAEs, the server first."""
        return (self.server_sae, *self.client_saes)
