"""What every node is told, kept up to date owner by owner, and what each has confirmed of it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from controller.domain.entries import EMPTY_DIGEST, Entry, digest_moved, entry_hash
from controller.domain.snapshot import Snapshot
from controller.planning.compile import Owner, all_owners, compile_owner, owner_of

Encode = Callable[[Entry], bytes]


@dataclass(slots=True)
class _Node:
    """What one node is to have in force, and how far its agent's newest word is from it.

    Attributes:
        wanted, hashes: Content and hash by entry id.
        in_force: Hash by entry id; None before the agent's first word.
        version: Log revision of the configuration that this word answers to.
        open: By owner, then by entry id: the revision of the last change of the wish, for every entry of which
            the agent has not said that it is as wanted now. A word settles an entry when it is no older than
            that change: an update on its way may still bring what is no longer wanted.
    """

    wanted: dict[str, bytes] = field(default_factory=dict)
    hashes: dict[str, bytes] = field(default_factory=dict)
    digest: bytes = EMPTY_DIGEST
    in_force: Mapping[str, bytes] | None = None
    version: int = 0
    open: dict[Owner, dict[str, int]] = field(default_factory=dict)

    def want(self, entry_id: str, content: bytes | None, revision: int) -> bool:
        """Change the wish; return False when it is the same already."""
        if self.wanted.get(entry_id) == content:
            return False
        old = self.hashes.pop(entry_id, None)
        if content is None:
            self.wanted.pop(entry_id, None)
        else:
            self.wanted[entry_id] = content
            self.hashes[entry_id] = entry_hash(entry_id, content)
        self.digest = digest_moved(self.digest, removed=old, added=self.hashes.get(entry_id))
        self.open.setdefault(owner_of(entry_id), {})[entry_id] = revision
        return True

    def heard(self, in_force: Mapping[str, bytes], version: int) -> set[Owner]:
        """Take the agent's word; return the owners about which it says something new."""
        first = self.in_force is None
        self.in_force, self.version = in_force, version
        before, self.open = self.open, {}
        for owner, entries in before.items():
            for entry_id, revision in entries.items():
                if revision > version:
                    self.open.setdefault(owner, {})[entry_id] = revision
        for entry_id in {entry_id for entry_id, _ in in_force.items() ^ self.hashes.items()}:
            self.open.setdefault(owner_of(entry_id), {}).setdefault(entry_id, 0)
        told = before.keys() | self.open.keys()
        return told | {owner_of(entry_id) for entry_id in self.hashes} if first else told


class Configuration:
    """Desired entries by node, and the newest word of each agent on what is in force.

    Not stored: after a start it is compiled anew, and the agents' Hellos tell what is in force.
    """

    def __init__(self, snapshot: Snapshot, encode: Encode) -> None:
        self._encode = encode
        self._nodes: dict[str, _Node] = {node: _Node() for node in snapshot.nodes}
        self._owned: dict[Owner, dict[str, tuple[str, ...]]] = {}
        self._touched: set[str] = set(snapshot.nodes)
        self._deleted: set[str] = set()
        for owner in all_owners(snapshot):
            self.recompile(snapshot, owner, revision=0)

    def recompile(self, snapshot: Snapshot, owner: Owner, *, revision: int) -> None:
        """Bring one owner's entries up to date; `revision` is the one that the change will be committed as."""
        entries = compile_owner(snapshot, owner)
        before = self._owned.get(owner, {})
        for name in {*before, *entries}:
            node = self._nodes.get(name)
            if node is None:
                continue  # it is deleted, and what it was told with it
            new = {entry.id: self._encode(entry) for entry in entries.get(name, ())}
            for entry_id in {*before.get(name, ()), *new}:
                if node.want(entry_id, new.get(entry_id), revision):
                    self._touched.add(name)
        if entries:
            self._owned[owner] = {name: tuple(entry.id for entry in told) for name, told in entries.items()}
        else:
            self._owned.pop(owner, None)

    def node_created(self, node: str) -> None:
        """Begin to tell a node something, if only that there is nothing."""
        self._nodes[node] = _Node()
        self._touched.add(node)

    def node_deleted(self, node: str) -> None:
        """Forget a node."""
        self._nodes.pop(node, None)
        self._touched.discard(node)
        self._deleted.add(node)

    def heard(self, node: str, in_force: Mapping[str, bytes], version: int) -> Collection[Owner]:
        """Take an agent's word on what is in force: as of the configuration wanted at that revision.

        Returns:
            The owners of which it says something new.
        """
        return self._nodes[node].heard(in_force, version) if node in self._nodes else ()

    def confirmed(self, owner: Owner, node: str) -> bool:
        """Tell whether the node has in force just what is wanted of this owner, nothing of it included."""
        known = self._nodes.get(node)
        if known is None:
            return True  # the node is gone, and with it what it held
        return known.in_force is not None and owner not in known.open

    def in_step(self, node: str) -> bool:
        """Tell whether the node has in force just what is wanted of it."""
        known = self._nodes.get(node)
        return known is None or (known.in_force is not None and not known.open)

    def settled(self, node: str, entry_id: str) -> bool:
        """Tell whether this entry is in force at the node if it is wanted, and is not if it is not."""
        known = self._nodes.get(node)
        if known is None:
            return True
        return known.in_force is not None and known.in_force.get(entry_id) == known.hashes.get(entry_id)

    def wanted_at(self, node: str, entry_id: str, version: int) -> bool:
        """Tell whether the entry is wanted of the node, and was not changed after that revision."""
        known = self._nodes.get(node)
        if known is None or entry_id not in known.wanted:
            return False
        return known.open.get(owner_of(entry_id), {}).get(entry_id, 0) <= version

    def told(self, owner: Owner) -> bool:
        """Tell whether any node has confirmed an entry of this owner that is wanted now."""
        for name, entry_ids in self._owned.get(owner, {}).items():
            node = self._nodes.get(name)
            if node is None or node.in_force is None:
                continue
            if any(node.in_force.get(entry_id) == node.hashes.get(entry_id, b"") for entry_id in entry_ids):
                return True
        return False

    def entry_ids(self, owner: Owner) -> set[str]:
        """Return the ids of the entries of this owner that are wanted anywhere."""
        return {entry_id for told in self._owned.get(owner, {}).values() for entry_id in told}

    def digests(self) -> dict[str, bytes]:
        """Return the digest of what is wanted, by node."""
        return {name: node.digest for name, node in self._nodes.items()}

    def confirmed_versions(self) -> dict[str, int]:
        """Return the highest revision whose configuration each agent confirmed, by node."""
        return {name: node.version for name, node in self._nodes.items() if node.in_force is not None}

    def take_pushes(self) -> dict[str, Mapping[str, bytes] | None]:
        """Return what is wanted of every node touched since the last call; None for a deleted node.

        A node that was deleted and made again is named twice: to be taken until nothing comes.
        """
        pushes: dict[str, Mapping[str, bytes] | None] = dict.fromkeys(sorted(self._deleted))
        now = sorted(self._touched - self._deleted)
        pushes |= {name: dict(self._nodes[name].wanted) for name in now}
        self._touched.difference_update(now)
        self._deleted.clear()
        return pushes
