"""profiles.yaml: what modules of each kind can do, for rates that nobody published."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias

from controller.config.figure import figure, schema, sources
from controller.config.pair_profiles import PairProfile, pair_profile
from controller.config.section import Section
from controller.domain.link import Provenance
from controller.physics import bbm92, decoy_bb84
from controller.physics.bbm92 import PdcBbm92
from controller.physics.block import Block
from controller.physics.decoy_bb84 import DecoyBb84

SCHEMA_VERSION: Final = 1

Module: TypeAlias = DecoyBb84 | PdcBbm92


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A kind of module.

    Attributes:
        name: As topologies refer to it.
        model: `decoy-bb84` (finite key) or `bbm92-pdc` (asymptotic).
        title: For people.
        module: Its parameters.
        provenance: By parameter.
    """

    name: str
    model: str
    title: str
    module: Module
    provenance: Mapping[str, Provenance]

    @property
    def method(self) -> str:
        """Return how rates are derived, with the sources of the formulas."""
        return f"{_METHODS[self.model]}; profile {self.name}"


_METHODS: Final = {
    "decoy-bb84": "decoy BB84 with two decoys, finite key: Lim et al., PRA 89, 022307 (2014)",
    "bbm92-pdc": "BBM92 with a down-conversion source in the middle, asymptotic: Ma, Fung, Lo, PRA 76, 012307 (2007)",
}


def expected_block(module: Module, loss_db: float, *, misalignment: float | None = None) -> Block:
    """Return the block that the module's model expects over a channel of that loss (>= 0 dB).

    Args:
        module: Of either model.
        loss_db: Between the ends.
        misalignment: In place of the module's own, for a channel that has drifted; in [0, 0.5].
    """
    if isinstance(module, DecoyBb84):
        return decoy_bb84.expected_block(module, loss_db, misalignment=misalignment)
    return bbm92.expected_block(module, loss_db, misalignment=misalignment)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilesFile:
    """A profiles file.

    Attributes:
        modules: Kinds of QKD modules, by name.
        hardware: Kinds of repeater hardware, by name.
    """

    modules: Mapping[str, Profile]
    hardware: Mapping[str, PairProfile]


def profiles_file(root: Section) -> ProfilesFile:
    """Read the whole file."""
    schema(root, "qinet-profiles", SCHEMA_VERSION)
    root.text("title", default="")
    known = sources(root)
    modules = {name: _profile(name, each, known) for name, each in root.named_sections("profiles").items()}
    hardware = {
        name: pair_profile(name, each, known) for name, each in root.named_sections("hardware", required=False).items()
    }
    return ProfilesFile(
        modules=MappingProxyType({name: profile for name, profile in modules.items() if profile is not None}),
        hardware=MappingProxyType({name: profile for name, profile in hardware.items() if profile is not None}),
    )


def _profile(name: str, section: Section, known: Mapping[str, str]) -> Profile | None:
    title = section.text("title")
    model = section.choice("model", {model: model for model in _METHODS})
    origins: dict[str, Provenance] = {}

    def number(key: str, *, low: float = 0.0, high: float = 1e15, above: float = -1.0) -> float:
        read = figure(section, key, known, low=low, high=high, above=above)
        origins[key] = read.provenance
        return read.value

    make = _decoy_bb84(section, number) if model == "decoy-bb84" else _bbm92(number)
    if not section.sound:
        return None
    try:
        module = make()
    except ValueError as refused:
        section.mistake("", str(refused))
        return None
    return Profile(name=name, model=model, title=title, module=module, provenance=MappingProxyType(origins))


def _decoy_bb84(section: Section, number: Callable[..., float]) -> Callable[[], Module]:
    signal, decoy = number("signal_probability", high=1, above=0), number("decoy_probability", high=1, above=0)
    if section.sound and signal + decoy >= 1:
        section.mistake("decoy_probability", "leaves nothing for the weakest intensity: the probabilities reach 1")
    return partial(
        DecoyBb84,
        clock_hz=number("clock_hz", above=0),
        intensities=(
            number("signal_intensity", high=10, above=0),
            number("decoy_intensity", high=10, above=0),
            number("weakest_intensity", high=10),
        ),
        intensity_probabilities=(signal, decoy, 1.0 - signal - decoy),
        key_basis_probability=number("key_basis_probability", high=1, above=0),
        detector_efficiency=number("detector_efficiency", high=1, above=0),
        receiver_loss_db=number("receiver_loss_db", high=100),
        dark_count_probability=number("dark_count_probability", high=0.49),
        afterpulse_probability=number("afterpulse_probability", high=0.99),
        misalignment=number("misalignment", high=0.5),
        error_correction_efficiency=number("error_correction_efficiency", low=1, high=10),
        secrecy_failure=number("secrecy_failure", high=0.5, above=0),
        correctness_failure=number("correctness_failure", high=0.5, above=0),
        block_sifted_bit=int(number("block_sifted_bit", low=1000, high=1e12)),
    )


def _bbm92(number: Callable[..., float]) -> Callable[[], Module]:
    return partial(
        PdcBbm92,
        clock_hz=number("clock_hz", above=0),
        half_mean_pairs=number("half_mean_pairs", high=10, above=0),
        detector_efficiency=number("detector_efficiency", high=1, above=0),
        background=number("background", high=0.99),
        misalignment=number("misalignment", high=0.5),
        error_correction_efficiency=number("error_correction_efficiency", low=1, high=10),
        block_sifted_bit=int(number("block_sifted_bit", low=1000, high=1e12)),
    )
