"""What a link does for entanglement, of a topology file: measured, or what follows from its fibre and hardware."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from controller.config.figure import Figure, figure, figure_here
from controller.config.node_pairs import read_profile
from controller.config.pair_profiles import PHOTON_FIGURES, POSITIVE_RATIO, PairProfile, read_figures
from controller.config.section import Section
from controller.domain.link import Basis, Provenance
from controller.domain.pair_link import MAX_MEMORIES, MAX_OPTIONS, PairModel, PairOption, Regime
from controller.physics.basics import transmittance
from controller.physics.link_generation import Heralding, attempt_period_s, double_click, single_click

_REGIMES: Final = {regime.value: regime for regime in Regime}
_SCHEMES: Final = {"single-click": "single-click", "double-click": "double-click"}
_METHODS: Final = {
    "single-click": "single-click heralding: Cabrillo et al., PRA 59, 1025 (1999)",
    "double-click": "double-click heralding: Barrett, Kok, PRA 71, 060310 (2005)",
}
_LEAST_FIDELITY: Final = 0.25
_LONGEST_SOURCE: Final = 1000
"""Of what is put together out of several; the API takes 1024 characters."""
_HALF_WAY: Final = Figure(value=0.5, provenance=Provenance(basis=Basis.ASSUMED, source="a station half-way"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPairs:
    """What a link does, and what each figure of it rests on: by field name, as `pairs.options[0].fidelity`."""

    model: PairModel
    provenance: Mapping[str, Provenance]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    probability: Figure
    fidelity: Figure
    label: str


def read_link_pairs(
    section: Section,
    *,
    length: Figure | None,
    loss: Figure | None,
    known: Mapping[str, str],
    profiles: Mapping[str, PairProfile] | None,
) -> LinkPairs | None:
    """Read `entanglement` of a link; None where it has mistakes.

    Args:
        section: Its `entanglement`.
        length: Of the fibre, km; None when unknown.
        loss: Of the whole channel, dB; None when unknown.
        known: The file's sources.
        profiles: Kinds of hardware, by name; None when their file has mistakes, which are told already.
    """
    regime = section.choice("regime", _REGIMES)
    memory_pairs = section.integer("memory_pairs", low=1, high=MAX_MEMORIES)
    if section.has("derive"):
        found = _Derivation(section, length, loss, known, profiles).options()
    else:
        parallel = memory_pairs if regime in (Regime.SLOT, Regime.MEMORY) else 1
        found = _measured(section, known, parallel)
    if found is None or not section.sound:
        return None
    period, options = found
    model = section.build(
        lambda: PairModel(
            regime=regime,
            attempt_period_s=period.value,
            memory_pairs=memory_pairs,
            options=tuple(
                PairOption(
                    success_probability=option.probability.value, fidelity=option.fidelity.value, label=option.label
                )
                for option in options
            ),
        )
    )
    if model is None:
        return None
    origins = {"pairs.attempt_period_s": period.provenance}
    for index, option in enumerate(options):
        origins[f"pairs.options[{index}].success_probability"] = option.probability.provenance
        origins[f"pairs.options[{index}].fidelity"] = option.fidelity.provenance
    return LinkPairs(model=model, provenance=MappingProxyType(origins))


def _parts(section: Section, key: str) -> list[Section]:
    """Return the entries of a list of options."""
    parts = section.sections(key)
    if section.has(key) and section.sound and not 1 <= len(parts) <= MAX_OPTIONS:
        section.mistake(key, f"there are {len(parts)}, not 1..{MAX_OPTIONS}")
    return parts


def _measured(section: Section, known: Mapping[str, str], parallel: int) -> tuple[Figure, list[_Option]] | None:
    period = figure(section, "attempt_period_s", known, low=1e-9, high=1e6)
    options: list[_Option] = []
    for part in _parts(section, "options"):
        if part.has("rate_hz"):
            probability = _of_rate(part, known, period, parallel)
        else:
            probability = figure(part, "success_probability", known, above=0, high=1)
        options.append(
            _Option(
                probability=probability,
                fidelity=figure(part, "fidelity", known, above=_LEAST_FIDELITY, high=1),
                label=part.text("label", default="", max_length=255),
            )
        )
    return period, options


def _of_rate(part: Section, known: Mapping[str, str], period: Figure, parallel: int) -> Figure:
    """Return the success probability of one attempt of a link that makes so many pairs a second with all it has."""
    rate = figure(part, "rate_hz", known, above=0, high=1e9)
    if part.has("success_probability"):
        part.mistake("rate_hz", "give either rate_hz or success_probability")
    most = parallel / period.value
    if part.sound and rate.value > most:
        part.mistake("rate_hz", f"{rate.value:g} is more than the {most:g} attempts a second that the link makes")
    source = f"rate_hz {rate.value:g} over {parallel} / attempt_period_s: {rate.provenance.source}"
    return Figure(
        value=min(1.0, rate.value / most),
        provenance=Provenance(basis=rate.provenance.basis, source=source),
    )


class _Derivation:
    """Attempt period and options that follow from fibre, hardware and scheme."""

    def __init__(
        self,
        section: Section,
        length: Figure | None,
        loss: Figure | None,
        known: Mapping[str, str],
        profiles: Mapping[str, PairProfile] | None,
    ) -> None:
        self._section = section
        self._length = length
        self._loss = loss
        self._known = known
        self._scheme = section.choice("derive", _SCHEMES)
        profile = read_profile(section, profiles)
        own = read_figures(section, PHOTON_FIGURES, known)
        self._profile_name = profile.name if profile else ""
        self._own = frozenset(own)
        self._figures = {**(profile.figures if profile else {}), **own}
        self._number_resolving = section.boolean(
            "number_resolving", default=profile.number_resolving if profile else False
        )
        self._station = _HALF_WAY
        if section.has("station_share"):
            self._station = figure(section, "station_share", known, low=0, high=1)
        self._lost_profile = section.has("profile") and profile is None

    def options(self) -> tuple[Figure, list[_Option]] | None:
        """Return the period and the options; None once a mistake was noted."""
        arms = self._arms()
        period = self._period()
        bright_states = self._bright_states()
        if arms is None or period is None or not self._section.sound:
            return None
        (one, other), told = arms
        if self._scheme == "double-click":
            visibility = self._figures["visibility"]
            herald = double_click((one, other), visibility=visibility.value)
            quality = self._said("visibility")
            return period, [self._option(herald.success_probability, herald.fidelity, "double click", told, quality)]
        coherence = self._figures["phase_coherence"].value
        options: list[_Option] = []
        for bright in bright_states:
            longer = min(one, other)
            herald = single_click(
                (bright.value * longer / one, bright.value * longer / other),  # as many photons from either side
                (one, other),
                number_resolving=self._number_resolving,
                phase_coherence=coherence,
            )
            quality = f"bright state {bright.value:g}: {bright.provenance.source}; {self._said('phase_coherence')}"
            label = f"bright state {bright.value:g}"
            options.append(self._option(herald.success_probability, herald.fidelity, label, told, quality))
        return period, options

    def _option(self, probability: float, fidelity: float, label: str, told: str, quality: str) -> _Option:
        method = _METHODS[self._scheme]

        def derived(value: float, source: str) -> Figure:
            return Figure(value=value, provenance=_derived(f"{method}; {source}"))

        if fidelity <= _LEAST_FIDELITY:
            self._section.mistake("derive", f"{label}: pairs of fidelity {fidelity:.4g} are not entangled")
        return _Option(
            probability=derived(probability, f"{told}; {quality}"), fidelity=derived(fidelity, quality), label=label
        )

    def _said(self, name: str) -> str:
        """Return a figure with where it is from: the profile, which says its source, or the file."""
        found = self._figures[name]
        source = found.provenance.source if name in self._own else f"profile {self._profile_name}"
        return f"{name} {found.value:g} ({source})"

    def _needed(self, name: str) -> Figure | None:
        found = self._figures.get(name)
        if found is None and not self._lost_profile:
            self._section.mistake(name, "is missing: neither the link nor its profile says")
        return found

    def _arms(self) -> tuple[tuple[float, float], str] | None:
        """Return the efficiencies of the two arms, from emission to click, and what they rest on."""
        if self._scheme == "double-click":
            self._needed("visibility")
            if self._section.has("bright_states"):
                self._section.mistake("bright_states", "are for single-click links")
        else:
            self._needed("phase_coherence")
        if self._section.has("arm_efficiencies"):
            return self._given_arms()
        emission, detection = self._needed("emission_efficiency"), self._needed("detection_efficiency")
        if self._loss is None:
            self._section.mistake("derive", "needs the link's loss_db, or arm_efficiencies")
        if emission is None or detection is None or self._loss is None:
            return None
        share = self._station.value
        ends = emission.value * detection.value
        told = (
            f"{self._said('emission_efficiency')}; {self._said('detection_efficiency')}; "
            f"{share:g} and {1 - share:g} of loss_db {self._loss.value:g}"
        )
        arms = (
            ends * transmittance(share * self._loss.value),
            ends * transmittance((1.0 - share) * self._loss.value),
        )
        return arms, told

    def _given_arms(self) -> tuple[tuple[float, float], str] | None:
        parts = self._section.sections("arm_efficiencies")
        arms = [figure_here(part, self._known, above=POSITIVE_RATIO.low, high=POSITIVE_RATIO.high) for part in parts]
        if len(arms) != 2:
            self._section.mistake("arm_efficiencies", f"a link has two arms, not {len(arms)}")
            return None
        one, other = arms
        told = (
            f"arms {one.value:g} ({one.provenance.source}) and {other.value:g} ({other.provenance.source}), "
            "from emission to click"
        )
        return (one.value, other.value), told

    def _bright_states(self) -> list[Figure]:
        if self._scheme == "double-click":
            return []
        parts = _parts(self._section, "bright_states")
        return [figure_here(part, self._known, above=0, high=math.nextafter(1.0, 0.0)) for part in parts]

    def _period(self) -> Figure | None:
        """Return the time between two attempts of a memory: the answer has to come back from the station."""
        if self._section.has("attempt_period_s"):
            return figure(self._section, "attempt_period_s", self._known, low=1e-9, high=1e6)
        repetition = self._needed("repetition_hz")
        if self._length is None:
            self._section.mistake("derive", "needs the link's length_km, or attempt_period_s")
        if repetition is None or self._length is None:
            return None
        farther = max(self._station.value, 1.0 - self._station.value)
        value = attempt_period_s(2.0 * farther * self._length.value, Heralding.MIDDLE, repetition_hz=repetition.value)
        return Figure(
            value=value,
            provenance=_derived(
                "a photon to the station and the answer back, in fibre, but no faster than "
                f"{self._said('repetition_hz')}; length_km {self._length.value:g}"
            ),
        )


def _derived(source: str) -> Provenance:
    return Provenance(
        basis=Basis.DERIVED, source=source if len(source) <= _LONGEST_SOURCE else f"{source[: _LONGEST_SOURCE - 4]} ..."
    )
