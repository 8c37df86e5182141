"""Another vendor's GS QKD 014 key source: two key management entities over one key store, with faults to order.

Written from the standard's facts page alone; shares no code with what the project delivers keys with, or fetches them.
"""

import asyncio
import base64
import datetime
import ipaddress
import json
import secrets
import ssl
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Fault(StrEnum):
    NO_KEY = "503"
    BAD_REQUEST = "400"
    UNAUTHORISED = "401"
    BROKEN = "500"
    WRONG_SIZE = "keys one byte too short"
    WRONG_NUMBER = "a key less than asked for"
    SAME_ID = "one id for all keys"
    SAME_KEY = "one key under all ids"
    NO_UUID = "ids that are no UUIDs"
    NOT_BASE64 = "keys that are no Base64"
    NOT_JSON = "no JSON"
    NOT_OBJECT = "JSON, but no object"
    REPLAY = "the keys of the last answer again"
    SLOW = "no answer"
    DROP = "hangs up"
    LATE_DROP = "does it, then hangs up without an answer"


@dataclass
class Vault:
    """What both entities share: keys that wait to be given, and keys given to a master that wait for its slave."""

    stored: list[tuple[str, bytes]] = field(default_factory=list)
    waiting: dict[str, tuple[str, str, bytes]] = field(default_factory=dict)
    given: dict[str, set[str]] = field(default_factory=dict)
    """Every key ever handed out, by id: the SAEs that have it."""

    def produce(self, number: int, size_bit: int = 256) -> None:
        self.stored += [(str(uuid.uuid4()), secrets.token_bytes(size_bit // 8)) for _ in range(number)]

    def expire(self) -> None:
        """Forget all that waits for a slave."""
        self.waiting.clear()


class Entity:
    """One key management entity."""

    def __init__(self, name: str, vault: Vault, *, key_bit: int = 256, at_once: int = 64, most: int = 100_000) -> None:
        self.name = name
        self.vault = vault
        self.key_bit = key_bit
        self.at_once = at_once
        self.most = most
        self.least_bit, self.largest_bit = 64, 4096
        self.asked: list[str] = []
        self.port = 0
        self._ordered: dict[str, tuple[Fault, int]] = {}
        self._last: list[dict[str, str]] = []
        self._runner: web.AppRunner | None = None

    def order(self, fault: Fault, *, on: Iterable[str] = ("status", "enc_keys", "dec_keys"), times: int = -1) -> None:
        """Have requests fail, so many times (-1: until repaired)."""
        for what in on:
            self._ordered[what] = (fault, times)

    def repair(self) -> None:
        self._ordered.clear()

    async def start(self, context: ssl.SSLContext) -> None:
        app = web.Application()
        app.router.add_get("/api/v1/keys/{sae}/status", self._status)
        app.router.add_post("/api/v1/keys/{sae}/enc_keys", self._enc_keys)
        app.router.add_post("/api/v1/keys/{sae}/dec_keys", self._dec_keys)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=context, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    # ------------------------------------------------------------ the three methods

    async def _status(self, request: web.Request) -> web.StreamResponse:
        caller = _caller(request)
        if (answer := await self._fault(request, "status")) is not None:
            return answer
        body = {
            "source_KME_ID": self.name,
            "target_KME_ID": "the other one",
            "master_SAE_ID": caller,
            "slave_SAE_ID": request.match_info["sae"],
            "key_size": self.key_bit,
            "stored_key_count": min(len(self.vault.stored), self.most),
            "max_key_count": self.most,
            "max_key_per_request": self.at_once,
            "max_key_size": self.largest_bit,
            "min_key_size": self.least_bit,
            "max_SAE_ID_count": 0,
        }
        return web.json_response(body)

    async def _enc_keys(self, request: web.Request) -> web.StreamResponse:
        master, slave, asked = _caller(request), request.match_info["sae"], await request.json()
        if (answer := await self._fault(request, "enc_keys")) is not None:
            return answer
        number, size = asked.get("number", 1), asked.get("size", self.key_bit)
        if size % 8:
            return _error(400, "size shall be a multiple of 8")
        if number > self.at_once or not self.least_bit <= size <= self.largest_bit:
            return _error(400, "out of range")
        if number > len(self.vault.stored) or any(8 * len(key) != size for _, key in self.vault.stored[:number]):
            return _error(503, "not enough keys")
        taken, self.vault.stored[:number] = self.vault.stored[:number], []
        for key_id, key in taken:
            self.vault.waiting[key_id] = (master, slave, key)
            self.vault.given.setdefault(key_id, set()).add(master)
        return self._container(request, "enc_keys", taken)

    async def _dec_keys(self, request: web.Request) -> web.StreamResponse:
        slave, master = _caller(request), request.match_info["sae"]
        asked = [item["key_ID"] for item in (await request.json())["key_IDs"]]
        if (answer := await self._fault(request, "dec_keys")) is not None:
            return answer
        found = [self.vault.waiting.get(key_id) for key_id in asked]
        if len(asked) > self.at_once or None in found or len(set(asked)) < len(asked):
            return _error(400, "one or more keys specified are not found on KME")
        if any(one is not None and one[:2] != (master, slave) for one in found):
            return web.Response(status=401)
        taken = []
        for key_id in asked:
            taken.append((key_id, self.vault.waiting.pop(key_id)[2]))
            self.vault.given[key_id].add(slave)
        # The standard says nothing of the order of an answer.
        return self._container(request, "dec_keys", taken[::-1])

    # ------------------------------------------------------------ faults

    async def _fault(self, request: web.Request, what: str) -> web.StreamResponse | None:
        """Do what was ordered instead of an answer, if anything was."""
        self.asked.append(what)
        match self._ordered.get(what, (None, 0))[0]:
            case Fault.NO_KEY | Fault.BAD_REQUEST | Fault.UNAUTHORISED | Fault.BROKEN as fault:
                self._used(what)
                return _error(int(fault), f"ordered, and here is a secret: {secrets.token_hex(16)}")
            case Fault.NOT_JSON:
                self._used(what)
                return web.Response(text="{keys:", content_type="application/json")
            case Fault.NOT_OBJECT:
                self._used(what)
                return web.json_response([1, 2])
            case Fault.SLOW:
                self._used(what)
                await asyncio.sleep(3600)
            case Fault.DROP:
                self._used(what)
                return _hang_up(request)
        return None

    def _container(self, request: web.Request, what: str, keys: list[tuple[str, bytes]]) -> web.StreamResponse:
        listed = [{"key_ID": key_id, "key": base64.b64encode(key).decode()} for key_id, key in keys]
        fault = self._ordered.get(what, (None, 0))[0]
        if fault is not None:
            self._used(what)
        match fault:
            case Fault.WRONG_SIZE:
                listed = [
                    {**item, "key": base64.b64encode(base64.b64decode(item["key"])[1:]).decode()} for item in listed
                ]
            case Fault.WRONG_NUMBER:
                listed = listed[1:]
            case Fault.SAME_ID:
                listed = [{**item, "key_ID": listed[0]["key_ID"]} for item in listed]
            case Fault.SAME_KEY:
                listed = [{**item, "key": listed[0]["key"]} for item in listed]
            case Fault.NO_UUID:
                listed = [{**item, "key_ID": f"key {number}"} for number, item in enumerate(listed)]
            case Fault.NOT_BASE64:
                listed = [{**item, "key": "*" + item["key"][1:]} for item in listed]
            case Fault.REPLAY:
                listed = self._last[: len(listed)]
            case Fault.LATE_DROP:
                return _hang_up(request)
        self._last = listed
        return web.json_response({"keys": listed})

    def _used(self, what: str) -> None:
        fault, times = self._ordered[what]
        if times == 1:
            del self._ordered[what]
        else:
            self._ordered[what] = (fault, times - 1)


def _caller(request: web.Request) -> str:
    """Return the SAE id: the common name of the client's certificate."""
    assert request.transport is not None
    subject = request.transport.get_extra_info("peercert")["subject"]
    return next(str(value) for part in subject for name, value in part if name == "commonName")


def _error(status: int, message: str) -> web.Response:
    return web.Response(status=status, text=json.dumps({"message": message}), content_type="application/json")


def _hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


# ---------------------------------------------------------------- certificates of that vendor


class Authority:
    """A CA of its own, with the files of all it certified in one directory."""

    def __init__(self, directory: Path, name: str = "another vendor's CA") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _certificate(self._name, self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.ca = directory / "ca.pem"
        self.ca.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, address: str = "127.0.0.1") -> tuple[Path, Path]:
        """Return the files of a new certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = _certificate(subject, self._name, key.public_key()).add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        paths = self._directory / f"{name}.crt", self._directory / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths

    def server(self, name: str, *, address: str = "127.0.0.1") -> ssl.SSLContext:
        """Return the context of a server that lets in only clients of this CA."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self.issue(name, address=address))
        context.load_verify_locations(cafile=self.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


@dataclass
class UpstreamPair:
    """The key source of one link: an entity at each end; SAE `sae-NODE` is let in at either."""

    authority: Authority
    vault: Vault
    entities: tuple[Entity, Entity]


@asynccontextmanager
async def upstream_pair(directory: Path, *, keys: int = 0, at_once: int = 64) -> AsyncIterator[UpstreamPair]:
    """Run both entities, with so many keys stored."""
    authority, vault = Authority(directory), Vault()
    vault.produce(keys)
    pair = (Entity("kme-1", vault, at_once=at_once), Entity("kme-2", vault, at_once=at_once))
    try:
        for entity in pair:
            await entity.start(authority.server(entity.name))
        yield UpstreamPair(authority, vault, pair)
    finally:
        for entity in pair:
            await entity.stop()
