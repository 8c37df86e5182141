"""Two applications of the demonstration: GS QKD 014 clients, each with its own certificate, at its own node."""

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from controller.domain.refusals import Precondition
from controller.identity.credentials import https_client_context
from controller.identity.peers import Identity, Kind
from controller.identity.tls_files import files_in, load_tls

_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Key:
    """A delivered key."""

    key_id: str
    key: str

    def __repr__(self) -> str:
        return f"Key({self.key_id})"


class KeyClient:
    """One SAE at its key management entity."""

    def __init__(self, pki: Path, sae: str, address: str) -> None:
        self.sae = sae
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._context: ssl.SSLContext = https_client_context(load_tls(files_in(pki, Identity(Kind.SAE, sae))))

    def status(self, slave: str) -> dict[str, Any]:
        """Return the status towards a slave SAE."""
        return self._call("GET", f"{quote(slave)}/status")

    def get_keys(self, slave: str, number: int, size_bit: int) -> list[Key]:
        """Take fresh keys as master."""
        answer = self._call("POST", f"{quote(slave)}/enc_keys", {"number": number, "size": size_bit})
        return [Key(key["key_ID"], key["key"]) for key in answer["keys"]]

    def get_keys_with_ids(self, master: str, ids: list[str]) -> list[Key]:
        """Take the same keys as slave."""
        answer = self._call("POST", f"{quote(master)}/dec_keys", {"key_IDs": [{"key_ID": key_id} for key_id in ids]})
        return [Key(key["key_ID"], key["key"]) for key in answer["keys"]]

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        connection = http.client.HTTPSConnection(self._host, self._port, context=self._context, timeout=_TIMEOUT_S)
        try:
            connection.request(
                method,
                f"/api/v1/keys/{path}",
                body=None if body is None else json.dumps(body),
                headers={"Content-Type": "application/json"},
            )
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != http.client.OK:
            said = content.decode(errors="replace")
            raise Precondition(f"HTTP_{response.status}", f"{path} answered {response.status}: {said}", {"path": path})
        answer: dict[str, Any] = json.loads(content)
        return answer
