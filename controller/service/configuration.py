"""What every node is told, kept up to date owner by owner, and what each has confirmed of it."""

from collections.abc import Callable, Iterable, Mapping

from controller.domain.entries import EMPTY_DIGEST, Entry, digest_moved, entry_hash
from controller.domain.snapshot import Snapshot
from controller.planning.compile import Owner, all_owners, compile_owner

Encode = Callable[[Entry], bytes]


class Configuration:
    """Desired entries by node, and the newest word of each agent on what is in force.

    An entry is confirmed at a node when what is in force there equals what is wanted *and* the agent's word is
    not older than the last change of the wish: an update on its way may still bring what is no longer wanted.
    Not stored: after a start it is compiled anew, and the agents' Hellos tell what is in force.
    """

    def __init__(self, snapshot: Snapshot, encode: Encode) -> None:
        self._encode = encode
        self._wanted: dict[str, dict[str, bytes]] = {node: {} for node in snapshot.nodes}
        self._hashes: dict[str, dict[str, bytes]] = {node: {} for node in snapshot.nodes}
        self._digests: dict[str, bytes] = {}
        self._changed_at: dict[str, dict[str, int]] = {}
        self._owned: dict[Owner, dict[str, tuple[str, ...]]] = {}
        self._ever_at: dict[Owner, dict[str, set[str]]] = {}
        self._in_force: dict[str, Mapping[str, bytes]] = {}
        self._confirmed_version: dict[str, int] = {}
        self._touched: set[str] = set(snapshot.nodes)
        for owner in all_owners(snapshot):
            self.recompile(snapshot, owner, revision=0)

    def recompile(self, snapshot: Snapshot, owner: Owner, *, revision: int) -> None:
        """Bring one owner's entries up to date; `revision` is the one that the change will be committed as."""
        entries = compile_owner(snapshot, owner)
        before = self._owned.get(owner, {})
        for node in {*before, *entries}:
            new = {entry.id: self._encode(entry) for entry in entries.get(node, ())}
            for entry_id in {*before.get(node, ()), *new}:
                self._want(node, entry_id, new.get(entry_id), revision)
                self._ever_at.setdefault(owner, {}).setdefault(node, set()).add(entry_id)
        if entries:
            self._owned[owner] = {node: tuple(entry.id for entry in told) for node, told in entries.items()}
        else:
            self._owned.pop(owner, None)

    def _want(self, node: str, entry_id: str, content: bytes | None, revision: int) -> None:
        wanted = self._wanted.setdefault(node, {})
        if wanted.get(entry_id) == content:
            return
        hashes = self._hashes.setdefault(node, {})
        old = hashes.pop(entry_id, None)
        if content is None:
            wanted.pop(entry_id, None)
        else:
            wanted[entry_id] = content
            hashes[entry_id] = entry_hash(entry_id, content)
        self._digests[node] = digest_moved(self.digest(node), removed=old, added=hashes.get(entry_id))
        self._changed_at.setdefault(node, {})[entry_id] = revision
        self._touched.add(node)

    def node_created(self, node: str) -> None:
        """Begin to tell a node something, if only that there is nothing."""
        self._wanted.setdefault(node, {})
        self._touched.add(node)

    def node_deleted(self, node: str) -> None:
        """Forget a node."""
        for table in (
            self._wanted,
            self._hashes,
            self._digests,
            self._changed_at,
            self._in_force,
            self._confirmed_version,
        ):
            table.pop(node, None)
        self._touched.add(node)

    def heard(self, node: str, in_force: Mapping[str, bytes], version: int) -> None:
        """Take an agent's word on what is in force: as of the configuration wanted at that revision."""
        self._in_force[node] = in_force
        self._confirmed_version[node] = version

    def confirmed(self, owner: Owner, node: str) -> bool:
        """Tell whether the node has in force just what is wanted of this owner, nothing of it included."""
        if node not in self._wanted:
            return True  # the node is gone, and with it what it held
        in_force = self._in_force.get(node)
        if in_force is None:
            return False
        version = self._confirmed_version[node]
        changed_at = self._changed_at.get(node, {})
        hashes = self._hashes.get(node, {})
        return all(
            changed_at.get(entry_id, 0) <= version and in_force.get(entry_id) == hashes.get(entry_id)
            for entry_id in self._entry_ids(owner, node, in_force)
        )

    def _entry_ids(self, owner: Owner, node: str, in_force: Mapping[str, bytes]) -> Iterable[str]:
        known = self._ever_at.get(owner, {}).get(node, set())
        if owner[0] != "relays":
            return known
        # After a start, an agent may hold entries that this process never wanted of it.
        prefix = f"keyRelays/{owner[1]}/"
        return known | {entry_id for entry_id in in_force if entry_id.startswith(prefix)}

    def told(self, owner: Owner) -> bool:
        """Tell whether any node has confirmed an entry of this owner that is wanted now."""
        return any(
            self._in_force.get(node, {}).get(entry_id) == self._hashes[node][entry_id]
            for node, entry_ids in self._owned.get(owner, {}).items()
            for entry_id in entry_ids
        )

    def forget(self, owner: Owner) -> None:
        """Drop what is remembered of an owner that is gone and confirmed everywhere it matters."""
        self._ever_at.pop(owner, None)

    def digest(self, node: str) -> bytes:
        """Return the digest of what is wanted of a node."""
        return self._digests.get(node, EMPTY_DIGEST)

    def digests(self) -> dict[str, bytes]:
        """Return the digest of what is wanted, by node."""
        return {node: self.digest(node) for node in self._wanted}

    def confirmed_versions(self) -> dict[str, int]:
        """Return the highest revision whose configuration each agent confirmed, by node."""
        return dict(self._confirmed_version)

    def take_pushes(self) -> dict[str, Mapping[str, bytes] | None]:
        """Return what is wanted of every node touched since the last call; None for a deleted node."""
        pushes: dict[str, Mapping[str, bytes] | None] = {
            node: dict(self._wanted[node]) if node in self._wanted else None for node in sorted(self._touched)
        }
        self._touched.clear()
        return pushes
