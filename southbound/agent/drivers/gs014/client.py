"""Asks a GS QKD 014 source over HTTPS with certificates on both sides (TLS 1.2 or newer)."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn
from urllib.parse import quote

import aiohttp

from controller.identity.tls_files import TlsRefused
from southbound.agent.drivers.gs014 import answers
from southbound.agent.drivers.gs014.steps import (
    MAX_BLOCK_BIT,
    AskById,
    AskKeys,
    AskStatus,
    Failed,
    Keys,
    Source,
    Trouble,
)

_MAX_BODY_BYTES: Final = 2 * MAX_BLOCK_BIT // 8 + (1 << 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where a source is, and who we are there.

    Attributes:
        url: Of the key management entity, up to `/api`; https only.
        peer_sae: SAE id of the other end, as the source knows it.
        certificate, key: PEM files of our SAE.
        ca: PEM file of the authority that the source's certificate is from.
        server_name: Name in the source's certificate, where it is not the host of the URL; "" where it is.
        timeout_s: For a request in all; > 0.
    """

    url: str
    peer_sae: str
    certificate: Path
    key: Path = field(repr=False)
    ca: Path
    server_name: str = ""
    timeout_s: float = 5.0

    def context(self) -> ssl.SSLContext:
        """Return the TLS context, from the files as they are now.

        Raises:
            TlsRefused: A file cannot be read, or the key does not belong to the certificate.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        file = self.ca
        try:
            for file in (self.certificate, self.key, self.ca):
                file.open("rb").close()  # what OpenSSL says of a missing one does not tell which it is
            context.load_verify_locations(cafile=self.ca)
            file = self.certificate
            context.load_cert_chain(self.certificate, self.key, password=self._no_password)
        except (OSError, ssl.SSLError) as problem:
            why = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
            raise TlsRefused(
                "TLS_FILE_UNREADABLE",
                f"{file}: cannot be used for the key source at {self.url} ({why}): "
                "name PEM files of a certificate, its key and the source's CA",
                {"file": file},
            ) from None
        return context

    def _no_password(self) -> NoReturn:
        # Without this OpenSSL would ask at the terminal, and the whole agent would wait for the answer.
        raise TlsRefused(
            "TLS_FILE_MALFORMED",
            f"{self.key}: holds an encrypted key, for the key source at {self.url}: decrypt it, daemons start with "
            "nobody there to ask",
            {"file": self.key},
        )


class Client:
    """A connection to one source; use it as a context manager. One request at a time."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._base = f"{access.url.rstrip('/')}/api/v1/keys/{quote(access.peer_sae, safe='')}"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def ask(self, step: AskStatus | AskKeys | AskById) -> Source | Keys | Failed:
        """Take a step; what goes wrong comes back as Failed."""
        match step:
            case AskStatus():
                answer = await self._request("status", None)
                return answer if isinstance(answer, Failed) else answers.source(answer)
            case AskKeys(number=number, size_bit=size_bit):
                answer = await self._request("enc_keys", {"number": number, "size": size_bit})
                if isinstance(answer, Failed):
                    return answer
                try:
                    return answers.fresh_keys(answer, number=number, size_bit=size_bit)
                finally:
                    answer[:] = bytes(len(answer))
            case AskById(key_ids=key_ids, size_bit=size_bit):
                answer = await self._request("dec_keys", {"key_IDs": [{"key_ID": key_id} for key_id in key_ids]})
                if isinstance(answer, Failed):
                    return answer
                try:
                    return answers.named_keys(answer, key_ids=key_ids, size_bit=size_bit)
                finally:
                    answer[:] = bytes(len(answer))

    async def _request(self, what: str, body: Mapping[str, object] | None) -> bytearray | Failed:
        """Return the body of a 200, or why there is none."""
        try:
            async with asyncio.timeout(self._access.timeout_s):
                return await self._exchange(what, body)
        except TimeoutError:
            reason = f"the key source did not answer within {self._access.timeout_s:g} s ({what})"
        except TlsRefused as refused:
            reason = refused.message
        except (aiohttp.ClientConnectorCertificateError, ssl.SSLError) as problem:
            reason = f"the key source cannot be trusted ({what}: {_tls_reason(problem)})"
        except (aiohttp.ClientError, OSError, ValueError) as problem:  # ValueError: names that no host can have
            reason = f"the key source is not reached, or hung up ({what}: {type(problem).__name__})"
        # Where the connection is in doubt the next request makes a new one, from the files as they are then.
        await self._close()
        return Failed(trouble=Trouble.UNREACHABLE, reason=reason)

    async def _exchange(self, what: str, body: Mapping[str, object] | None) -> bytearray | Failed:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._access.context(), limit=1)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        async with self._session.request(
            "GET" if body is None else "POST",
            f"{self._base}/{what}",
            json=body,
            server_hostname=self._access.server_name or None,
            allow_redirects=False,
            headers={"Accept": "application/json"},
        ) as response:
            read = bytearray()
            async for part in response.content.iter_any():
                read += part
                if len(read) > _MAX_BODY_BYTES:
                    response.close()
                    reason = f"the key source's answer is larger than {_MAX_BODY_BYTES} bytes ({what})"
                    return Failed(trouble=Trouble.REFUSES, reason=reason)
            return read if response.status == 200 else answers.refusal(what, response.status, read)

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _tls_reason(problem: BaseException) -> str:
    inner = getattr(problem, "certificate_error", problem)
    return getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or type(inner).__name__
