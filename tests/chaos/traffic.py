"""Two applications that fetch keys without pause while things happen to the nodes that they ask, and what they saw."""

import http.client
import ssl
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from controller.cli.demo_keys import Key, KeyClient
from controller.domain.refusals import Precondition

_AGAIN_S: Final = 0.05
_FETCH_WITHIN_S: Final = 60.0
_ASK_TWICE_EVERY: Final = 8
_TRANSPORT: Final = (OSError, http.client.HTTPException, ssl.SSLError)


@dataclass
class Seen:
    """What a pair of applications saw.

    Attributes:
        equal: Ids of keys that came out equal at both ends.
        faults: What must never be: keys that differ, ids given twice, keys that were handed out and can't be fetched.
        in_flight: Requests that reached a node, perhaps, and got no answer; nobody can say what became of them.
        unreached: Requests to a node that was down.
        refused: Requests for keys that were answered 503, by text.
        failed: Other refusals of such requests, by text.
        longest_s: Longest time that a request for keys took to be answered.
    """

    equal: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    in_flight: int = 0
    unreached: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0


class Pair(threading.Thread):
    """A master that takes keys and its slave that fetches them by id, one after another, until told to stop."""

    def __init__(
        self, pki: Path, master: tuple[str, str], slave: tuple[str, str], book: Mapping[str, str], *, every_s: float
    ) -> None:
        """Begin with what will be asked.

        Args:
            pki: Folder of the certificates.
            master: (SAE, node) of who takes keys.
            slave: (SAE, node) of who fetches them.
            book: host:port of the 014 server of each node, as it is now.
            every_s: Pause between two keys.
        """
        super().__init__(name=f"{master[0]}-{slave[0]}", daemon=True)
        self.seen = Seen()
        self._pki, self._master, self._slave, self._book, self._every_s = pki, master, slave, book, every_s
        self._stopping = threading.Event()
        self._issued: set[str] = set()
        self._clients: dict[tuple[str, str], KeyClient] = {}

    def halt(self) -> None:
        """Begin no further key."""
        self._stopping.set()

    def stop(self) -> Seen:
        """Stop after the key that is under way; return what was seen."""
        self.halt()
        self.join()
        return self.seen

    def run(self) -> None:
        """Fetch keys."""
        while not self._stopping.wait(self._every_s):
            for key in self._take():
                self._fetch(key)

    def _client(self, sae: str, node: str) -> KeyClient:
        where = (sae, self._book[node])
        if where not in self._clients:
            self._clients[where] = KeyClient(self._pki, *where)
        return self._clients[where]

    def _take(self) -> list[Key]:
        began = time.monotonic()
        try:
            keys = self._client(*self._master).get_keys(self._slave[0], 1, 256)
        except Precondition as refusal:
            counted = self.seen.refused if refusal.reason == "HTTP_503" else self.seen.failed
            counted[refusal.message] += 1
            return []
        except ConnectionRefusedError:
            self.seen.unreached += 1
            return []
        except _TRANSPORT:
            self.seen.in_flight += 1
            return []
        self.seen.longest_s = max(self.seen.longest_s, time.monotonic() - began)
        for key in keys:
            if key.key_id in self._issued:
                self.seen.faults.append(f"key id {key.key_id} was given twice")
            self._issued.add(key.key_id)
        return keys

    def _fetch(self, key: Key) -> None:
        """Fetch a key that the master has: it must come, and be equal, unless a request for it was cut off."""
        cut_off = False
        give_up = time.monotonic() + _FETCH_WITHIN_S
        while True:
            try:
                (fetched,) = self._client(*self._slave).get_keys_with_ids(self._master[0], [key.key_id])
                break
            except ConnectionRefusedError:
                self.seen.unreached += 1  # the node is down: nothing has reached it, and it must have the key when back
            except _TRANSPORT:
                self.seen.in_flight += 1
                cut_off = True
            except Precondition as refusal:
                if not cut_off:
                    self.seen.faults.append(
                        f"key {key.key_id} was handed out, and its slave is told: {refusal.message}"
                    )
                return  # else the answer was lost with the process: taken once is taken
            if time.monotonic() > give_up:
                self.seen.faults.append(f"{self._slave[0]} cannot reach its node within {_FETCH_WITHIN_S:g} s")
                return
            time.sleep(_AGAIN_S)  # the node is being started again
        if fetched.key != key.key:
            self.seen.faults.append(f"key {key.key_id} differs")
        self.seen.equal.add(key.key_id)
        if len(self.seen.equal) % _ASK_TWICE_EVERY == 0:
            self._ask_again(key)

    def _ask_again(self, key: Key) -> None:
        """See that a key that was fetched is not given once more."""
        try:
            self._client(*self._slave).get_keys_with_ids(self._master[0], [key.key_id])
        except Precondition:
            return
        except ConnectionRefusedError:
            self.seen.unreached += 1
            return
        except _TRANSPORT:
            self.seen.in_flight += 1
            return
        self.seen.faults.append(f"key {key.key_id} was given to its slave twice")


def pairs_of(pki: Path, ends: Mapping[str, tuple[str, str]], book: Mapping[str, str], *, every_s: float) -> list[Pair]:
    """Return the applications of associations, given as (source, target) by name: a pair in each direction."""
    made = []
    for name, (source, target) in ends.items():
        master, slave = (f"{name}.m", source), (f"{name}.s", target)
        made += [Pair(pki, master, slave, book, every_s=every_s), Pair(pki, slave, master, book, every_s=every_s)]
    return made
