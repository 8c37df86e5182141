"""One link of a topology file: its figures, the operator's settings, and how its modules are simulated."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from controller.config.figure import FORM, Figure, figure, provenance, source
from controller.config.link_pairs import read_link_pairs
from controller.config.link_rate import Rate, read_rate
from controller.config.pair_profiles import PairProfile
from controller.config.profiles import Module, Profile, expected_block
from controller.config.section import UINT32_MAX, Section
from controller.domain.link import Basis, Establishment, Link, LinkEnd, LinkKind, Provenance
from controller.physics.basics import fibre_loss_db, key_fraction

_KINDS: Final = {kind.value: kind for kind in LinkKind}
_OF_KEY: Final = ("skr_bit_per_s", "qber", "settings", "simulation")
_ESTABLISHMENTS: Final = {value.value: value for value in Establishment}
_DEFAULT_PROVENANCE: Final = Provenance(basis=Basis.ASSUMED, source="the program's defaults")
_LOSS_FORM: Final = f"{FORM} or {{derive: fibre, attenuation_db_per_km: ..., source: ...}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """What the operator sets for a link: choices, not facts.

    Attributes:
        authentication_rate_millibit_per_s: Key that the link needs for itself, taken off its capacity; >= 0.
        authentication_floor_bit: Stored key that relays and stocks never draw below; >= 0.
        qber_limit: A block above it yields no key; in (0, 0.5].
        key_ttl_s: How long stored key may wait; > 0.
    """

    authentication_rate_millibit_per_s: int = 0
    authentication_floor_bit: int = 0
    qber_limit: float = 0.11
    key_ttl_s: int = 7 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSimulation:
    """How the simulated modules of a link behave.

    Attributes:
        block_s: Seconds that a block takes; > 0.
        block_secret_bit: Secret bits that a block yields on average while the channel is as expected; > 0.
        qber_mean: In [0, 0.5].
        qber_drift: Largest slow deviation from the mean, an absolute difference of ratios; in [0, 0.5].
        drift_period_s: How long one slow swing takes; > 0.
        rate_spread: Relative standard deviation of a block's secret bits; in [0, 0.5].
        recalibration_every_s: Time between recalibrations, which make no key; 0 for none.
        recalibration_s: How long one takes.
        loss_db: Of the channel; None when unknown.
        module: What the rate was derived from; None where the rate was given.
        provenance: What these figures rest on.
    """

    block_s: float
    block_secret_bit: int
    qber_mean: float
    qber_drift: float
    drift_period_s: float
    rate_spread: float
    recalibration_every_s: float
    recalibration_s: float
    loss_db: float | None
    module: Module | None
    provenance: Provenance

    def secret_bit_at(self, qber: float) -> int:
        """Return the secret bits that a block yields on average at another error ratio, in [0, 0.5]; >= 0.

        Where the rate was derived, the difference is put down to misalignment and the model is asked again; else the
        block shrinks as the asymptotic key fraction does. The qber_limit of the link is not looked at.
        """
        if self.module is not None and self.loss_db is not None:
            misalignment = min(0.5, max(0.0, self.module.misalignment + qber - self.qber_mean))
            return expected_block(self.module, self.loss_db, misalignment=misalignment).secret_bit
        usual = key_fraction(self.qber_mean)
        if usual == 0.0:  # the file promises key where one-way post-processing has none: all or nothing
            return self.block_secret_bit if qber <= self.qber_mean else 0
        return round(self.block_secret_bit * key_fraction(qber) / usual)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationSettings:
    """The same before a link's own figures are known; the fields mean what they mean in LinkSimulation."""

    block_s: float = 5.0
    qber_drift: float = 0.0
    drift_period_s: float = 3600.0
    rate_spread: float = 0.0
    recalibration_every_s: float = 0.0
    recalibration_s: float = 0.0
    provenance: Provenance = _DEFAULT_PROVENANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDefaults:
    """What links of a file share.

    `profiles` of QKD modules and `hardware` of repeaters are None when their file has mistakes, which are told already.
    """

    sources: Mapping[str, str]
    profiles: Mapping[str, Profile] | None
    hardware: Mapping[str, PairProfile] | None
    settings: LinkSettings
    simulation: SimulationSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLink:
    """A link as far as it could be read; `name`, `link` and `simulation` are None when they are not usable.

    A link that makes pairs has no simulation: its model says all.
    """

    section: Section
    name: str | None
    ends: tuple[Section, ...]
    link: Link | None
    simulation: LinkSimulation | None


def read_settings(section: Section, defaults: LinkSettings) -> LinkSettings:
    """Read `link_settings` of a file or `settings` of a link; what is absent is as in `defaults`."""
    rate = section.number(
        "authentication_rate_bit_per_s",
        low=0,
        high=UINT32_MAX,
        default=defaults.authentication_rate_millibit_per_s / 1000,
    )
    return LinkSettings(
        authentication_rate_millibit_per_s=math.ceil(round(rate * 1000, 6)),
        authentication_floor_bit=section.integer(
            "authentication_floor_bit", high=2**53, default=defaults.authentication_floor_bit
        ),
        qber_limit=section.number("qber_limit", above=0, high=0.5, default=defaults.qber_limit),
        key_ttl_s=section.integer("key_ttl_s", low=1, default=defaults.key_ttl_s),
    )


def read_simulation(section: Section, defaults: SimulationSettings, known: Mapping[str, str]) -> SimulationSettings:
    """Read `simulation` of a file or of a link; what is given needs `basis` and `source`."""
    settings = SimulationSettings(
        block_s=section.number("block_s", above=0, high=86_400, default=defaults.block_s),
        qber_drift=section.number("qber_drift", low=0, high=0.5, default=defaults.qber_drift),
        drift_period_s=section.number("drift_period_s", above=0, high=1e9, default=defaults.drift_period_s),
        rate_spread=section.number("rate_spread", low=0, high=0.5, default=defaults.rate_spread),
        recalibration_every_s=section.number(
            "recalibration_every_s", low=0, high=1e9, default=defaults.recalibration_every_s
        ),
        recalibration_s=section.number("recalibration_s", low=0, high=86_400, default=defaults.recalibration_s),
        provenance=provenance(section, known) if section.names() else defaults.provenance,
    )
    if section.sound and 0 < settings.recalibration_every_s <= settings.recalibration_s:
        section.mistake("recalibration_s", "is not shorter than recalibration_every_s: the link would never make key")
    return settings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    """What links of either kind have; `ends` may not be two."""

    section: Section
    name: str
    named: bool
    ends_at: tuple[Section, ...]
    ends: tuple[LinkEnd, ...]
    establishment: Establishment
    ducts: frozenset[str]
    length: Figure | None
    loss: Figure | None
    admin_enabled: bool
    maintenance: bool

    def read(self, link: Link | None, simulation: LinkSimulation | None) -> ReadLink:
        """Return the link as far as it could be read."""
        name = self.name if self.named else None
        return ReadLink(section=self.section, name=name, ends=self.ends_at, link=link, simulation=simulation)


def read_link(section: Section, defaults: FileDefaults) -> ReadLink:
    """Read one entry of `links`. Whether its ends exist is the topology's question."""
    name = section.label("name")
    named = section.sound
    kind = section.choice("kind", _KINDS, default=LinkKind.QKD)
    establishment = section.choice("establishment", _ESTABLISHMENTS, default=Establishment.ESTABLISHED)
    ends, ends_at = _ends(section)
    length = figure(section, "length_km", defaults.sources, low=0, high=100_000) if section.has("length_km") else None
    ducts = frozenset(section.labels("ducts", default=()))
    common = _Common(
        section=section,
        name=name,
        named=named,
        ends_at=ends_at,
        ends=ends,
        establishment=establishment,
        ducts=ducts,
        length=length,
        loss=_loss(section, length, defaults.sources),
        admin_enabled=section.boolean("admin_enabled", default=True),
        maintenance=section.boolean("maintenance", default=False),
    )
    return _read_pairs(common, defaults) if kind is LinkKind.ENTANGLEMENT else _read_key(common, defaults)


def _read_pairs(common: _Common, defaults: FileDefaults) -> ReadLink:
    section, length, loss = common.section, common.length, common.loss
    for field in _OF_KEY:
        if section.has(field):
            section.mistake(field, "a link of kind ENTANGLEMENT makes no key: leave it out")
    pairs = read_link_pairs(
        section.section("entanglement"),
        length=length,
        loss=loss,
        known=defaults.sources,
        profiles=defaults.hardware,
    )
    if pairs is None:
        return common.read(None, None)
    link = section.build(
        lambda: Link(
            name=common.name,
            kind=LinkKind.ENTANGLEMENT,
            establishment=common.establishment,
            ends=(min(common.ends), max(common.ends)),
            ducts=common.ducts,
            length_km=length.value if length else None,
            loss_db=loss.value if loss else None,
            model_skr_millibit_per_s=0,
            provenance=MappingProxyType({**_of_fibre(length, loss), **pairs.provenance}),
            admin_enabled=common.admin_enabled,
            maintenance=common.maintenance,
            pairs=pairs.model,
        )
    )
    return common.read(link, None)


def _read_key(common: _Common, defaults: FileDefaults) -> ReadLink:
    section, length, loss = common.section, common.length, common.loss
    if section.has("entanglement"):
        section.mistake("entanglement", "is for links of kind ENTANGLEMENT")
    settings = read_settings(section.section("settings", required=False), defaults.settings)
    own_simulation = section.section("simulation", required=False)
    simulation = read_simulation(own_simulation, defaults.simulation, defaults.sources)
    rate = read_rate(section, loss, defaults.sources, defaults.profiles)
    qber = figure(section, "qber", defaults.sources, low=0, high=0.5) if _gives_qber(section, rate) else None
    if rate is None:
        return common.read(None, None)
    if rate.module is not None and own_simulation.has("block_s"):
        own_simulation.mistake("block_s", "follows from the profile where the rate is derived")
    mean = qber.value if qber else rate.qber
    _check_against_limit(section, mean, settings)
    link = section.build(
        lambda: Link(
            name=common.name,
            establishment=common.establishment,
            ends=(min(common.ends), max(common.ends)),
            ducts=common.ducts,
            length_km=length.value if length else None,
            loss_db=loss.value if loss else None,
            model_skr_millibit_per_s=math.floor(round(rate.skr_bit_per_s * 1000, 6)),
            authentication_rate_millibit_per_s=settings.authentication_rate_millibit_per_s,
            authentication_floor_bit=settings.authentication_floor_bit,
            expected_qber=mean,
            qber_limit=settings.qber_limit,
            key_ttl_s=settings.key_ttl_s,
            provenance=_provenance(length, loss, rate, qber),
            admin_enabled=common.admin_enabled,
            maintenance=common.maintenance,
        )
    )
    block_s = rate.block_s or simulation.block_s
    simulated = LinkSimulation(
        block_s=block_s,
        block_secret_bit=rate.block_secret_bit or max(1, round(rate.skr_bit_per_s * block_s)),
        qber_mean=mean or 0.0,
        qber_drift=simulation.qber_drift,
        drift_period_s=simulation.drift_period_s,
        rate_spread=simulation.rate_spread,
        recalibration_every_s=simulation.recalibration_every_s,
        recalibration_s=simulation.recalibration_s,
        loss_db=loss.value if loss else None,
        module=rate.module,
        provenance=simulation.provenance,
    )
    return common.read(link, simulated)


def _ends(section: Section) -> tuple[tuple[LinkEnd, ...], tuple[Section, ...]]:
    parts = section.sections("ends")
    ends = tuple(LinkEnd(node=part.label("node"), interface=part.integer("interface")) for part in parts)
    if len(ends) != 2:
        if section.has("ends"):
            section.mistake("ends", f"a link has two ends, not {len(ends)}")
    elif all(part.sound for part in parts) and ends[0].node == ends[1].node:
        section.mistake("ends", f"both ends are at {ends[0].node}; a link joins two nodes")
    return ends, tuple(parts)


def _loss(section: Section, length: Figure | None, known: Mapping[str, str]) -> Figure | None:
    if not section.has("loss_db"):
        return None
    inner = section.section("loss_db", form=_LOSS_FORM)
    if not inner.has("derive"):
        return figure(section, "loss_db", known, low=0, high=999)
    inner.choice("derive", {"fibre": None})
    attenuation = inner.number("attenuation_db_per_km", low=0, high=100)
    text = source(inner, known)
    if length is None:
        inner.mistake("derive", "the loss of the fibre needs the link's length_km")
        return None
    return Figure(
        value=fibre_loss_db(length.value, attenuation),
        provenance=Provenance(
            basis=Basis.DERIVED,
            source=f"length_km times {attenuation:g} dB/km ({text}); length: {length.provenance.source}",
        ),
    )


def _gives_qber(section: Section, rate: Rate | None) -> bool:
    return section.has("qber") or (rate is not None and rate.qber is None)


def _check_against_limit(section: Section, qber: float | None, settings: LinkSettings) -> None:
    if qber is not None and qber > settings.qber_limit:
        section.mistake("qber", f"{qber:.4g} is above the qber_limit {settings.qber_limit:g}: no block would yield key")


def _provenance(
    length: Figure | None, loss: Figure | None, rate: Rate, qber: Figure | None
) -> Mapping[str, Provenance]:
    found = {"model_skr_millibit_per_s": rate.provenance, **_of_fibre(length, loss)}
    if qber:
        found["expected_qber"] = qber.provenance
    elif rate.qber is not None:
        found["expected_qber"] = rate.provenance
    return MappingProxyType(found)


def _of_fibre(length: Figure | None, loss: Figure | None) -> dict[str, Provenance]:
    figures = {"length_km": length, "loss_db": loss}
    return {name: found.provenance for name, found in figures.items() if found}
