"""Round trips of two applications with GS QKD 014 clients that others wrote; they block, so run them in a thread."""

import base64
import json
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from etsi_qkd_014_client import QKD014Client
from qkdsec.client import ETSI014Client

from controller.identity.tls_files import TlsFiles

DOCTOR_CONTRADICTS_THE_STANDARD = {
    "error_contract_404": "warn",  # wants 404 for an unknown key id; clause 6.4 says 400
    "dec_keys_roundtrip": "fail",  # the master fetches its own key back; clause 5.4 says 401
}
"""Probes of `qkdsec doctor` that a correct server must not pass, and what they say of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An SAE: its id, where its KME serves (`https://host:port`), and its certificate."""

    sae: str
    kme_url: str
    files: TlsFiles


def round_trip_with_etsi_client(
    master: Application, slave: Application, *, number: int | None = None, size_bit: int | None = None
) -> dict[str, bytes]:
    """Fetch keys at both ends with `etsi-qkd-014-client`; return them by id after seeing that they are equal."""
    at_master, at_slave = _etsi_client(master), _etsi_client(slave)
    code, status = at_master.get_status(slave.sae)
    assert code == 200, vars(status)
    assert (status.master_sae_id, status.slave_sae_id) == (master.sae, slave.sae)
    code, got = at_master.get_key(slave.sae, number=number, size=size_bit)
    assert code == 200, vars(got)
    keys = {each.key_id: _decoded(each.key) for each in got.keys}
    assert [8 * len(key) for key in keys.values()] == [size_bit or status.key_size] * (number or 1)
    code, fetched = at_slave.get_key_with_key_IDs(master.sae, list(keys))
    assert code == 200, vars(fetched)
    assert {each.key_id: _decoded(each.key) for each in fetched.keys} == keys
    return keys


def round_trip_with_qkdsec(
    master: Application, slave: Application, *, number: int = 1, size_bit: int = 256, verb: str = "GET"
) -> dict[str, bytes]:
    """Fetch keys at both ends with `qkdsec`; return them by id after seeing that they are equal."""
    with _qkdsec(master) as at_master, _qkdsec(slave) as at_slave:
        assert at_master.status(slave.sae).slave_sae_id == slave.sae
        keys = {
            each.key_id: each.key
            for each in at_master.get_enc_keys(slave.sae, number=number, size=size_bit, method=verb)
        }
        assert [8 * len(key) for key in keys.values()] == [size_bit] * number
        # This client calls the SAE of the path "slave" here; clause 5.4 and table 1 say master.
        assert {each.key_id: each.key for each in at_slave.get_dec_keys(master.sae, key_ids=list(keys))} == keys
    return keys


def multicast_with_etsi_client(master: Application, slaves: Sequence[Application], *, number: int) -> dict[str, bytes]:
    """Fetch keys for several slaves with `etsi-qkd-014-client`; return them by id after seeing that all have them."""
    at_master, (first, *more) = _etsi_client(master), slaves
    code, status = at_master.get_status(first.sae)
    assert (code, status.max_sae_id_count) == (200, len(more))
    code, got = at_master.get_key(first.sae, number=number, additional_slave_sae_ids=[slave.sae for slave in more])
    assert code == 200, vars(got)
    keys = {each.key_id: _decoded(each.key) for each in got.keys}
    for slave in slaves:
        code, fetched = _etsi_client(slave).get_key_with_key_IDs(master.sae, list(keys))
        assert code == 200, vars(fetched)
        assert {each.key_id: _decoded(each.key) for each in fetched.keys} == keys
    return keys


def multicast_with_qkdsec(master: Application, slaves: Sequence[Application], *, number: int) -> dict[str, bytes]:
    """Fetch keys for several slaves with `qkdsec`; return them by id after seeing that all have them."""
    first, *more = slaves
    with _qkdsec(master) as at_master:
        asked = at_master.get_enc_keys(
            first.sae, number=number, method="POST", additional_slave_sae_ids=[slave.sae for slave in more]
        )
    keys = {each.key_id: each.key for each in asked}
    for slave in slaves:
        with _qkdsec(slave) as at_slave:
            assert {each.key_id: each.key for each in at_slave.get_dec_keys(master.sae, key_ids=list(keys))} == keys
    return keys


def doctor(master: Application, slave_sae: str) -> dict[str, str]:
    """Run `qkdsec doctor --format json` as the master; return what each probe said: pass, warn, fail or skip."""
    command = [str(Path(sys.executable).with_name("qkdsec"))]
    command += ["doctor", master.kme_url, "--slave-sae-id", slave_sae, "--format", "json", "--timeout", "10"]
    command += ["--cert", str(master.files.certificate), "--key", str(master.files.key)]
    command += ["--ca-cert", str(master.files.ca)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return {result["name"]: result["status"] for result in report["results"]}


def assert_conformant(probes: Mapping[str, str]) -> None:
    """See that every probe of the doctor passed, and those that contradict the standard did not."""
    expected = dict.fromkeys(probes, "pass") | DOCTOR_CONTRADICTS_THE_STANDARD
    assert len(probes) >= 10, "the doctor stopped early"
    assert dict(probes) == expected


def bare_request(
    caller: Application, verb: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Send one request with the standard library; return status, headers in lower case, and body as it came."""
    context = ssl.create_default_context(cafile=str(caller.files.ca))
    context.load_cert_chain(caller.files.certificate, caller.files.key)
    address = urlsplit(caller.kme_url).netloc
    connection = HTTPSConnection(address, context=context, timeout=10)
    try:
        connection.request(verb, path, body=body or None, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def _etsi_client(application: Application) -> Any:
    files = application.files
    address = urlsplit(application.kme_url).netloc
    return QKD014Client(address, str(files.certificate), str(files.key), str(files.ca))


def _qkdsec(application: Application) -> Any:
    files = application.files
    certificate = str(files.certificate), str(files.key)
    return ETSI014Client(application.kme_url, client_cert=certificate, verify=str(files.ca), timeout=10)


def _decoded(key: str) -> bytes:
    return base64.b64decode(key, validate=True)
