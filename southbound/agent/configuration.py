"""The configuration in force: what an update does to it or why it is refused, and what of it the key plane is told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from controller.domain import route
from controller.domain.entries import (
    EMPTY_DIGEST,
    ApplicationEntry,
    Entry,
    LinkEntry,
    PathEntry,
    RelayHopEntry,
    digest_moved,
    entry_hash,
)
from controller.domain.refusals import InvalidValue, NotServed, Refusal
from controller.wire.entries import entry_from_bytes, is_path_instruction
from southbound.agent.keyplane import settings as plane
from southbound.agent.pair_entries import PairMeans, path_problem

MAX_UPDATE_BYTES: Final = 64 << 20
"""Largest update in all its parts: an agent holds it in memory until the last."""


class Code(IntEnum):
    """Codes of google.rpc.Status that a Nack uses."""

    INVALID_ARGUMENT = 3
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One entry in force.

    Attributes:
        content: As it travelled; hashed.
        entry: What it says.
        hash: See `entry_hash`.
        ends_at_s: Service time at which an agent without a controller ends it by itself; None: it stays.
    """

    content: bytes
    entry: Entry
    hash: bytes
    ends_at_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything in force at one node.

    Attributes:
        entries: By id.
        digest: Of all of them; 32 bytes.
        version: Log revision of the last update; 0 before the first.
    """

    entries: Mapping[str, Held] = field(default_factory=lambda: MappingProxyType({}))
    digest: bytes = EMPTY_DIGEST
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsert:
    """An entry of an update, as it travelled; `remaining_s` is None for one that stays."""

    entry_id: str
    content: bytes
    remaining_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """An update, or one part of it; fields as in `ConfigUpdate`."""

    nonce: int
    version: int
    base_digest: bytes
    target_digest: bytes
    upserts: tuple[Upsert, ...] = ()
    deletes: tuple[str, ...] = ()
    part: int = 0
    parts: int = 1

    @property
    def size_bytes(self) -> int:
        """Return what it takes in memory, roughly."""
        return sum(len(one.entry_id) + len(one.content) + 64 for one in self.upserts) + sum(map(len, self.deletes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Why something was refused: a code of google.rpc and a text for a person."""

    code: Code
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The update holds.

    Attributes:
        configuration: In force from the moment that the rest is durable.
        upserts: What to write, by id; with `ends_at_s`.
        deletes: What to remove.
    """

    configuration: Configuration
    upserts: Mapping[str, Held]
    deletes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The update does not hold, and nothing of it is applied: refused entries, or a status of the whole."""

    entries: Mapping[str, Status] = field(default_factory=lambda: MappingProxyType({}))
    status: Status | None = None


class Assembly:
    """Puts the parts of an update together; they come in order, one update at a time."""

    def __init__(self) -> None:
        self._held: Update | None = None
        self._size_bytes = 0

    def take(self, part: Update) -> Update | Refused | None:
        """Return the whole update with its last part, None before, or why the parts do not make one."""
        held, self._held = self._held, None
        if not 0 <= part.part < part.parts:
            return _whole(Code.INVALID_ARGUMENT, f"part {part.part} of {part.parts} cannot be")
        if part.part == 0:
            held, self._size_bytes = replace(part, upserts=(), deletes=()), 0
        elif held is None or (held.nonce, held.parts, held.part + 1) != (part.nonce, part.parts, part.part):
            return _whole(Code.INVALID_ARGUMENT, f"part {part.part} of update {part.nonce} came out of order")
        self._size_bytes += part.size_bytes
        if self._size_bytes > MAX_UPDATE_BYTES:
            return _whole(Code.RESOURCE_EXHAUSTED, f"the update is larger than {MAX_UPDATE_BYTES} bytes")
        together = replace(
            part,
            base_digest=held.base_digest,
            upserts=held.upserts + part.upserts,
            deletes=held.deletes + part.deletes,
        )
        if part.part == part.parts - 1:
            return together
        self._held = together
        return None


def decide(
    current: Configuration, update: Update, node: str, now_s: float, pairs: PairMeans | None = None
) -> Accepted | Refused:
    """Decide a whole update: all of it, or nothing.

    Args:
        current: What is in force.
        update: In one piece.
        node: Whose configuration it is.
        now_s: Service time, from which remaining times are counted.
        pairs: What the node has for entanglement; None for nothing.
    """
    if update.base_digest != current.digest:
        return _whole(Code.ABORTED, "the update is for another configuration than the one in force: ask for its hashes")
    named = [one.entry_id for one in update.upserts]
    if len(set(named)) != len(named) or not set(named).isdisjoint(update.deletes):
        return _whole(Code.INVALID_ARGUMENT, "the update names an entry twice")
    upserts, problems = _read(update.upserts, node, now_s, served=pairs is not None)
    entries = {name: held for name, held in current.entries.items() if name not in set(update.deletes)} | upserts
    problems |= _dangling(upserts, entries)
    if pairs is not None:
        problems |= _unable(upserts, entries, node, pairs)
    if problems:
        return Refused(entries=MappingProxyType(problems))
    digest = current.digest
    for name in update.deletes:
        if name in current.entries:
            digest = digest_moved(digest, removed=current.entries[name].hash)
    for name, held in upserts.items():
        old = current.entries.get(name)
        digest = digest_moved(digest, removed=old.hash if old else None, added=held.hash)
    if digest != update.target_digest:
        return _whole(Code.INVALID_ARGUMENT, "the update does not lead to the digest that it names")
    return Accepted(
        configuration=Configuration(entries=MappingProxyType(entries), digest=digest, version=update.version),
        upserts=MappingProxyType(upserts),
        deletes=frozenset(update.deletes) & frozenset(current.entries),
    )


def restored(entries: Iterable[tuple[str, bytes, float | None]], version: int, node: str) -> Configuration:
    """Return the configuration that was kept, given (id, content, ends_at_s) of its entries.

    Raises:
        Refusal: An entry that was accepted once no longer is: the store is damaged, or from another version.
    """
    held: dict[str, Held] = {}
    digest = EMPTY_DIGEST
    for name, content, ends_at_s in entries:
        held[name] = Held(
            content=content, entry=_checked(name, content, node), hash=entry_hash(name, content), ends_at_s=ends_at_s
        )
        digest = digest_moved(digest, added=held[name].hash)
    return Configuration(entries=MappingProxyType(held), digest=digest, version=version)


def ended(current: Configuration, now_s: float) -> Accepted | None:
    """Return the configuration without entries whose time has run out, None if there are none."""
    over = {name for name, held in current.entries.items() if held.ends_at_s is not None and held.ends_at_s <= now_s}
    if not over:
        return None
    digest = current.digest
    for name in over:
        digest = digest_moved(digest, removed=current.entries[name].hash)
    left = {name: held for name, held in current.entries.items() if name not in over}
    return Accepted(
        configuration=Configuration(entries=MappingProxyType(left), digest=digest, version=current.version),
        upserts=MappingProxyType({}),
        deletes=frozenset(over),
    )


def settings(configuration: Configuration) -> plane.Settings:
    """Return what the key plane is told: a hop over a link that is not set is left out until it is."""
    entries = [held.entry for held in configuration.entries.values()]
    key_links = [entry for entry in entries if isinstance(entry, LinkEntry) and not entry.entanglement]
    links = {entry.link for entry in key_links}
    return plane.Settings(
        links=tuple(link_setting(entry) for entry in key_links),
        relays=tuple(
            relay_hop(entry)
            for entry in entries
            if isinstance(entry, RelayHopEntry) and all(hop.link in links for hop in _hops(entry))
        ),
        associations=tuple(
            one for entry in entries if isinstance(entry, ApplicationEntry) for one in associations(entry)
        ),
    )


def peer_addresses(configuration: Configuration) -> dict[str, str]:
    """Return host:port of the peer servers that the configuration names, by node."""
    found: dict[str, str] = {}
    for held in configuration.entries.values():
        match held.entry:
            case LinkEntry(neighbour=node, neighbour_address=address):
                pass
            case ApplicationEntry(remotes=remotes):
                found |= {remote.node: remote.address for remote in remotes if remote.address}
                continue
            case PathEntry():
                continue  # all that is said of a path goes from neighbour to neighbour
            case RelayHopEntry(head=head, far=far, far_address=address) as entry:
                node = far if entry.previous is None else head
        if address:
            found[node] = address
    return found


def link_entries(configuration: Configuration) -> dict[str, LinkEntry]:
    """Return the link settings in force, by link."""
    return _link_entries(configuration.entries)


def path_entries(configuration: Configuration) -> list[PathEntry]:
    """Return the instructions of entanglement paths in force, every version of each."""
    entries = (held.entry for held in configuration.entries.values())
    return [entry for entry in entries if isinstance(entry, PathEntry)]


def end_hops(configuration: Configuration) -> dict[str, dict[int, RelayHopEntry]]:
    """Return the relays that end at this node: by relay and version of its routes, the entry of one share."""
    found: dict[str, dict[int, RelayHopEntry]] = {}
    for held in configuration.entries.values():
        entry = held.entry
        if isinstance(entry, RelayHopEntry) and (entry.previous is None or entry.next is None):
            found.setdefault(entry.relay, {}).setdefault(entry.route_version, entry)
    return found


def link_setting(entry: LinkEntry) -> plane.LinkSetting:
    """Return a link's entry as the key plane knows it."""
    return plane.LinkSetting(
        link=entry.link,
        neighbour=entry.neighbour,
        authentication_floor_bit=entry.authentication_floor_bit,
        key_ttl_s=float(entry.key_ttl_s),
        measure_limit=entry.qber_limit,
    )


def relay_hop(entry: RelayHopEntry) -> plane.RelayHop:
    """Return a hop's entry as the key plane knows it."""
    return plane.RelayHop(
        relay=entry.relay,
        route_version=entry.route_version,
        share=entry.share,
        shares=entry.shares,
        head=entry.head,
        tail=entry.far,
        previous=plane.Hop(link=entry.previous.link, node=entry.previous.start) if entry.previous else None,
        next=plane.Hop(link=entry.next.link, node=entry.next.end) if entry.next else None,
        rate_millibit_per_s=entry.rate_millibit_per_s,
        forward_share=entry.forward_share,
        chunk_bit=entry.chunk_bit,
        stock_low_bit=entry.stock_low_bit,
        stock_high_bit=entry.stock_high_bit,
        passive=entry.passive,
    )


def associations(entry: ApplicationEntry) -> list[plane.Association]:
    """Return an application's entry as the key plane knows it: one association for each far node."""
    size_bit = entry.key_size_bit
    return [
        plane.Association(
            application=entry.application,
            relay=remote.relay,
            remote_node=remote.node,
            local_saes=entry.local_saes,
            remote_saes=remote.saes,
            key_size_bit=size_bit,
            key_size_min_bit=min(64, size_bit),
            key_size_max_bit=max(4096, size_bit),
            key_ttl_s=float(entry.ttl_s),
            max_bandwidth_bit_per_s=entry.max_bandwidth_bit_per_s,
        )
        for remote in entry.remotes
    ]


def _whole(code: Code, message: str) -> Refused:
    return Refused(status=Status(code=code, message=message))


def _read(
    upserts: Iterable[Upsert], node: str, now_s: float, *, served: bool
) -> tuple[dict[str, Held], dict[str, Status]]:
    held: dict[str, Held] = {}
    problems: dict[str, Status] = {}
    for one in upserts:
        try:
            if not served and is_path_instruction(one.content):
                problems[one.entry_id] = _no_pairs(one.entry_id, node)
                continue
            entry = _checked(one.entry_id, one.content, node)
        except NotServed as refusal:
            problems[one.entry_id] = Status(code=Code.UNIMPLEMENTED, message=refusal.message)
        except Refusal as refusal:
            problems[one.entry_id] = Status(code=Code.INVALID_ARGUMENT, message=refusal.message)
        else:
            if not served and isinstance(entry, LinkEntry) and (entry.entanglement or entry.path):
                problems[one.entry_id] = _no_pairs(one.entry_id, node)
            held[one.entry_id] = Held(
                content=one.content,
                entry=entry,
                hash=entry_hash(one.entry_id, one.content),
                ends_at_s=None if one.remaining_s is None else now_s + one.remaining_s,
            )
    return held, problems


def _no_pairs(name: str, node: str) -> Status:
    message = f"{name}: {node} has nothing for entangled pairs: lead paths around it"
    return Status(code=Code.UNIMPLEMENTED, message=message)


def _checked(name: str, content: bytes, node: str) -> Entry:
    """Read an entry, and see that the key plane would take it and that it is this node's."""
    entry = entry_from_bytes(name, content)
    match entry:
        case LinkEntry():
            if not entry.entanglement:
                link_setting(entry)
            if entry.neighbour == node:
                raise InvalidValue(name, ("neighbour", f"is the node itself, {node}"))
        case RelayHopEntry():
            relay_hop(entry)
            here = entry.next.start if entry.next else entry.previous.end if entry.previous else ""
            if here != node:
                raise InvalidValue(name, ("next", f"the hop is of node {here}, and this is {node}"))
        case ApplicationEntry():
            associations(entry)
        case PathEntry():
            if node not in entry.nodes:
                raise InvalidValue(name, ("nodes", f"{', '.join(entry.nodes)} do not lead over {node}"))
            if entry.passive and entry.head != node:
                raise InvalidValue(name, ("passive", f"is for the head only, {entry.head}"))
    return entry


def _dangling(upserts: Mapping[str, Held], entries: Mapping[str, Held]) -> dict[str, Status]:
    links = _link_entries(entries)
    problems: dict[str, Status] = {}
    for name, held in upserts.items():
        if isinstance(held.entry, RelayHopEntry):
            for hop in _hops(held.entry):
                link = links.get(hop.link)
                if link is None or link.entanglement or link.neighbour not in {hop.start, hop.end}:
                    message = f"{name}: takes link {hop.link} to another node, and no such link is set here"
                    problems[name] = Status(code=Code.INVALID_ARGUMENT, message=message)
    return problems


def _unable(upserts: Mapping[str, Held], entries: Mapping[str, Held], node: str, pairs: PairMeans) -> dict[str, Status]:
    links = _link_entries(entries)
    problems: dict[str, Status] = {}
    for name, held in upserts.items():
        if isinstance(held.entry, PathEntry) and (problem := path_problem(held.entry, node, pairs, links)):
            problems[name] = Status(code=Code.FAILED_PRECONDITION, message=f"{name}: {problem}")
    return problems


def _link_entries(entries: Mapping[str, Held]) -> dict[str, LinkEntry]:
    return {held.entry.link: held.entry for held in entries.values() if isinstance(held.entry, LinkEntry)}


def _hops(entry: RelayHopEntry) -> tuple[route.Hop, ...]:
    return tuple(hop for hop in (entry.previous, entry.next) if hop is not None)
