"""Joins the ledgers of all nodes: no bit used twice or by one end only, every key paid for in link bits."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping

from controller.domain.capacity import END_TO_END_CHECK_BIT, HOP_TAG_BIT
from southbound.agent.keyplane.ledger import LedgerEntry, LedgerKind, Purpose
from southbound.agent.keyplane.wrapping import WRAP_TAG_BIT

Ledgers = Mapping[str, Iterable[LedgerEntry]]
_ChunkName = tuple[str, str, int]
_WayName = tuple[_ChunkName, int, int]


class Spans:
    """A set of bits, kept as disjoint ranges in order.

    >>> spans = Spans()
    >>> spans.add(0, 8), spans.add(16, 24), spans.overlap(4, 20), spans.add(8, 16), spans.covers(0, 24)
    (None, None, 8, None, True)
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        """Add [start, end)."""
        if end <= start:
            return
        first = bisect_left(self._ends, start)
        last = first
        while last < len(self._starts) and self._starts[last] <= end:
            start, end = min(start, self._starts[last]), max(end, self._ends[last])
            last += 1
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def overlap(self, start: int, end: int) -> int:
        """Return how many of [start, end) are in the set."""
        total = 0
        at = bisect_left(self._ends, start + 1)
        while at < len(self._starts) and self._starts[at] < end:
            total += min(end, self._ends[at]) - max(start, self._starts[at])
            at += 1
        return total

    def covers(self, start: int, end: int) -> bool:
        """Tell whether all of [start, end) are in the set."""
        return self.overlap(start, end) == end - start

    @property
    def top(self) -> int:
        """Return the end of the last range; 0 if there is none."""
        return self._ends[-1] if self._ends else 0


class _BlockAccount:
    """One block in one node's ledger."""

    def __init__(self) -> None:
        self.touched = Spans()
        self.burnt = Spans()
        self.sent: list[LedgerEntry] = []
        self.received: list[LedgerEntry] = []
        self.wiped = False


def audit(ledgers: Ledgers) -> list[str]:
    """Return every violation of the rules, in words; empty if the accounts hold.

    Give the ledgers of both ends of every link whose key is to be checked; where one is missing, only
    what the other says by itself is. A ledger is in the order in which it was written. Where old lines were left out
    of one, what others say of the same time is not held against it.
    """
    entries = {node: list(ledger) for node, ledger in ledgers.items()}
    closed = _Closed(entries)
    accounts: dict[tuple[str, int], dict[str, _BlockAccount]] = defaultdict(dict)
    faults: list[str] = []
    for node, ledger in entries.items():
        faults += _blocks_of(node, ledger, accounts)
    for (link, block), ends in accounts.items():
        faults += _joined(f"links/{link} block {block}", ends, trimmed=block <= closed.blocks.get(link, -1))
    faults += _keys(entries, closed)
    return faults


class _Closed:
    """Up to where lines were left out of any of the ledgers."""

    def __init__(self, ledgers: Mapping[str, list[LedgerEntry]]) -> None:
        self.blocks: dict[str, int] = {}
        self.chunks: dict[tuple[str, str], int] = {}
        self.nodes: set[str] = set()
        for node, ledger in ledgers.items():
            for entry in ledger:
                if entry.kind is not LedgerKind.CLOSED:
                    continue
                self.nodes.add(node)
                if entry.link:
                    self.blocks[entry.link] = max(entry.block, self.blocks.get(entry.link, -1))
                else:
                    name = entry.relay, entry.origin
                    self.chunks[name] = max(entry.chunk_id, self.chunks.get(name, -1))

    def touches(self, relay: str, cuts: Iterable[LedgerEntry]) -> bool:
        """Tell whether lines of a key may have been left out, given those of its cuts that are there."""
        cuts = list(cuts)
        if not cuts:
            return any(relay == each for each, _ in self.chunks)
        return any(cut.chunk_id <= self.chunks.get((cut.relay, cut.origin), -1) for cut in cuts)


def _end(entry: LedgerEntry) -> int:
    return entry.offset_bit + entry.length_bit


def _what(entry: LedgerEntry) -> str:
    return f"[{entry.offset_bit}, {_end(entry)}) for {entry.purpose}"


def _use(entry: LedgerEntry) -> tuple[object, ...]:
    """Return what both ends must say alike of one use."""
    chunk = (entry.relay, entry.route_version, entry.share, entry.chunk_id)
    return entry.offset_bit, entry.length_bit, entry.purpose, chunk


def _blocks_of(
    node: str, ledger: list[LedgerEntry], accounts: dict[tuple[str, int], dict[str, _BlockAccount]]
) -> list[str]:
    """Read one ledger in order: nothing is used after it was used, burnt or wiped."""
    faults = []
    for entry in ledger:
        if not entry.link or entry.kind is LedgerKind.CLOSED:
            continue
        place = f"{node}: links/{entry.link} block {entry.block}"
        account = accounts[entry.link, entry.block].setdefault(node, _BlockAccount())
        if entry.kind is LedgerKind.WIPE:
            account.wiped = True
        elif entry.kind is LedgerKind.USE:
            if entry.purpose is Purpose.COMPARE and _use(entry) in map(_use, account.received):
                # A store that came back from a copy sees the same tag of the same block once more.
                continue
            if account.touched.overlap(entry.offset_bit, _end(entry)):
                faults.append(f"{place}: {_what(entry)} was used or burnt before")
            account.touched.add(entry.offset_bit, _end(entry))
            (account.sent if entry.sent else account.received).append(entry)
        elif entry.kind is LedgerKind.BURN:
            account.burnt.add(entry.offset_bit, _end(entry))
            account.touched.add(entry.offset_bit, _end(entry))
    return faults


def _joined(place: str, ends: Mapping[str, _BlockAccount], *, trimmed: bool) -> list[str]:
    """Compare the two ends of one block."""
    faults = []
    everything = Spans()
    for node, account in ends.items():
        for entry in account.sent:
            if everything.overlap(entry.offset_bit, _end(entry)):
                faults.append(f"{place}: {node} sent with {_what(entry)}, which the other end sent with, too")
            everything.add(entry.offset_bit, _end(entry))
    if len(ends) != 2 or trimmed:
        return faults
    (one, first), (two, second) = ends.items()
    for node, account, other, far in ((one, first, two, second), (two, second, one, first)):
        sent = {_use(entry) for entry in far.sent}
        for entry in account.received:
            if _use(entry) not in sent:
                faults.append(f"{place}: {node} received {_what(entry)}, which {other} never sent")
        received = {_use(entry) for entry in far.received}
        for entry in account.sent:
            if entry.purpose is Purpose.COMPARE or _use(entry) in received:
                continue
            passed = _end(entry) if far.wiped else min(_end(entry), far.touched.top)
            if passed > entry.offset_bit and not far.burnt.covers(entry.offset_bit, passed):
                faults.append(f"{place}: {other} passed over {_what(entry)} of {node} without burning it")
    return faults


class _KeyBooks:
    """What all ledgers say of chunks and keys."""

    def __init__(self, closed: _Closed) -> None:
        self.closed = closed
        self.faults: list[str] = []
        self.cuts: dict[str, dict[str, list[LedgerEntry]]] = defaultdict(lambda: defaultdict(list))
        self.stocked: dict[_ChunkName, dict[str, LedgerEntry]] = defaultdict(dict)
        self.masters: dict[str, tuple[str, LedgerEntry]] = {}
        self.slaves: dict[tuple[str, str], tuple[str, LedgerEntry]] = {}
        """By key and SAE: of several slaves each gets it once."""
        self.hops: dict[_WayName, dict[str, list[LedgerEntry]]] = defaultdict(lambda: defaultdict(list))
        """Of a chunk on one version of the routes, as one share: what each node paid to send it on."""
        self.received: set[tuple[object, ...]] = set()

    def read(self, node: str, ledger: Iterable[LedgerEntry]) -> None:
        """Enter one node's ledger; no stocked bit is cut twice, no key handed out twice."""
        spent: dict[_ChunkName, Spans] = defaultdict(Spans)
        for entry in ledger:
            name = entry.relay, entry.origin, entry.chunk_id
            if entry.kind is LedgerKind.CHUNK:
                self.stocked[name][node] = entry
            elif entry.kind is LedgerKind.CUT:
                self.cuts[entry.key_id][node].append(entry)
                if spent[name].overlap(entry.offset_bit, _end(entry)):
                    self.faults.append(f"{node}: key {entry.key_id} is cut from bits of chunk {name} cut before")
                spent[name].add(entry.offset_bit, _end(entry))
            elif entry.kind is LedgerKind.KEY:
                before = self.masters.get(entry.key_id) if entry.sent else self.slaves.get((entry.key_id, entry.sae))
                if before is not None:
                    self.faults.append(f"{node}: key {entry.key_id} was handed out before, at {before[0]}")
                if entry.sent:
                    self.masters[entry.key_id] = node, entry
                else:
                    self.slaves[entry.key_id, entry.sae] = node, entry
            elif entry.kind is LedgerKind.USE and entry.purpose is Purpose.CHUNK:
                if entry.sent:
                    self.hops[name, entry.route_version, entry.share][node].append(entry)
                else:
                    self.received.add((node, entry.link, entry.block, *_use(entry)))

    def paid(self, name: _ChunkName, origin: str, far: str) -> str:
        """Walk the hops of every share of a chunk from its origin to its far end; return what is wrong, if anything is.

        The far end's word counts on which version of the routes it came by: only of that one was it put together.
        """
        mine, theirs = (self.stocked.get(name, {}).get(node) for node in (origin, far))
        if mine is None or theirs is None or (mine.length_bit, mine.count) != (theirs.length_bit, theirs.count):
            return f"chunk {name} is not in stock alike at {origin} and {far}"
        due_bit = mine.length_bit + END_TO_END_CHECK_BIT + HOP_TAG_BIT
        # A ledger of 0.1.0 counts no shares: there was one.
        for share in range(max(1, mine.count)):
            if wrong := self._share_paid((name, theirs.route_version, share), due_bit, origin, far):
                return f"chunk {name}: share {share} of route version {theirs.route_version}: {wrong}"
        return ""

    def _share_paid(self, way: _WayName, due_bit: int, origin: str, far: str) -> str:
        hops = dict(self.hops.get(way, {}))
        node = origin
        while node != far and (uses := hops.pop(node, [])):
            if (paid_bit := sum(use.length_bit for use in uses)) != due_bit:
                return f"{node} paid {paid_bit} bit where {due_bit} are due"
            neighbour = uses[0].neighbour
            for use in uses:
                known = (neighbour, use.link, use.block, *_use(use)) in self.received
                if not known and use.block > self.closed.blocks.get(use.link, -1):
                    return f"{neighbour} does not know of {_what(use)} that {node} paid"
            node = neighbour
        return (
            "" if node == far or node in self.closed.nodes else f"no paid way from {origin} to {far}: it ends at {node}"
        )


def _keys(ledgers: Mapping[str, list[LedgerEntry]], closed: _Closed) -> list[str]:
    """Follow every key that was handed out to the chunks it was cut from, and those to the links they crossed."""
    books = _KeyBooks(closed)
    for node, ledger in ledgers.items():
        books.read(node, ledger)
    faults = books.faults
    for key_id, (node, entry) in books.masters.items():
        cuts = books.cuts[key_id]
        if closed.touches(entry.relay, (cut for part in cuts.values() for cut in part)):
            continue
        mine: dict[str, list[LedgerEntry]] = {}
        for cut in cuts[node]:
            mine.setdefault(cut.relay, []).append(cut)
        # Cut from the stock with one far node, or wrapped in those with several: each costs the key and a tag.
        due_bit = entry.length_bit + (WRAP_TAG_BIT if len(mine) > 1 else 0)
        if any(sum(cut.length_bit for cut in part) != due_bit for part in mine.values()):
            faults.append(f"{node}: key {key_id} has {entry.length_bit} bit and is not cut from as many")
        fars = {far: [each for each in mine if _bits(mine[each]) == _bits(cuts[far])] for far in cuts if far != node}
        if not mine or len(fars) != len(mine) or not all(fars.values()):
            faults.append(f"{node}: key {key_id} was not cut alike at the other end")
            continue
        for far, (relay, *_) in fars.items():
            for cut in mine[relay]:
                if wrong := books.paid((cut.relay, cut.origin, cut.chunk_id), node, far):
                    faults.append(f"{node}: key {key_id}: {wrong}")
    for (key_id, _sae), (node, entry) in books.slaves.items():
        if closed.touches(entry.relay, (cut for part in books.cuts[key_id].values() for cut in part)):
            continue
        if key_id not in books.masters or books.masters[key_id][1].length_bit != entry.length_bit:
            faults.append(f"{node}: key {key_id} was handed to a slave, but never to its master like this")
    return faults


def _bits(cuts: list[LedgerEntry]) -> list[tuple[object, ...]]:
    return [(cut.relay, cut.origin, cut.chunk_id, cut.offset_bit, cut.length_bit) for cut in cuts]
