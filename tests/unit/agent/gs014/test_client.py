"""The client of a GS QKD 014 source, against another vendor's server over real mutual TLS."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from controller.identity.tls_files import TlsRefused
from southbound.agent.drivers.gs014.client import Access, Client
from southbound.agent.drivers.gs014.steps import AskById, AskKeys, AskStatus, Failed, Keys, Source, Trouble
from tests.support.upstream_014 import Authority, Entity, Fault, UpstreamPair, upstream_pair


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[UpstreamPair]:
    async with upstream_pair(tmp_path / "vendor", keys=100) as pair:
        yield pair


def access(pair: UpstreamPair, entity: int, *, timeout_s: float = 5.0) -> Access:
    sae, peer = ("sae-1", "sae-2") if entity == 0 else ("sae-2", "sae-1")
    certificate, key = pair.authority.issue(sae)
    return Access(
        url=pair.entities[entity].url,
        peer_sae=peer,
        certificate=certificate,
        key=key,
        ca=pair.authority.ca,
        timeout_s=timeout_s,
    )


async def fetched(client: Client, number: int = 3) -> Keys | Failed:
    answer = await client.ask(AskKeys(number, 256))
    assert isinstance(answer, Keys | Failed)
    return answer


async def test_both_ends_get_the_same_keys_in_the_order_that_they_were_named(pair: UpstreamPair) -> None:
    async with Client(access(pair, 0)) as master, Client(access(pair, 1)) as slave:
        status = await master.ask(AskStatus())
        assert status == Source(
            key_size_bit=256, stored_keys=100, max_keys=100_000, keys_per_request=64,
            min_key_size_bit=64, max_key_size_bit=4096,
        )  # fmt: skip
        ours = await fetched(master)
        assert isinstance(ours, Keys)
        theirs = await slave.ask(AskById(tuple(key.key_id for key in ours.keys), 256))
        assert theirs == ours
        assert len(ours.keys) == 3
        # a second time they are gone
        again = await slave.ask(AskById(tuple(key.key_id for key in ours.keys), 256))
        assert isinstance(again, Failed)
        assert again.trouble is Trouble.REFUSES
        assert "400, one or more keys specified are not found on KME" in again.reason


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (Fault.NO_KEY, Trouble.NO_KEY),
        (Fault.BAD_REQUEST, Trouble.REFUSES),
        (Fault.UNAUTHORISED, Trouble.REFUSES),
        (Fault.BROKEN, Trouble.REFUSES),
        (Fault.WRONG_SIZE, Trouble.REFUSES),
        (Fault.WRONG_NUMBER, Trouble.REFUSES),
        (Fault.NO_UUID, Trouble.REFUSES),
        (Fault.NOT_BASE64, Trouble.REFUSES),
        (Fault.NOT_JSON, Trouble.REFUSES),
        (Fault.NOT_OBJECT, Trouble.REFUSES),
        (Fault.SLOW, Trouble.UNREACHABLE),
        (Fault.DROP, Trouble.UNREACHABLE),
        (Fault.LATE_DROP, Trouble.UNREACHABLE),
    ],
)
async def test_every_fault_of_the_source_is_told_from_the_others_and_tells_nothing_secret(
    pair: UpstreamPair, fault: Fault, trouble: Trouble
) -> None:
    pair.entities[0].order(fault, on=("enc_keys",), times=1)
    async with Client(access(pair, 0, timeout_s=0.2 if fault is Fault.SLOW else 5.0)) as client:
        failed = await fetched(client)
        assert isinstance(failed, Failed)
        assert failed.trouble is trouble
        assert "secret" not in failed.reason
        # and the next one is served, on a new connection where that is needed
        assert isinstance(await fetched(client), Keys)


async def test_a_dec_keys_that_gives_other_keys_than_were_named_is_refused(pair: UpstreamPair) -> None:
    async with Client(access(pair, 0)) as master, Client(access(pair, 1)) as slave:
        first, second = await fetched(master), await fetched(master)
        assert isinstance(first, Keys)
        assert isinstance(second, Keys)
        assert await slave.ask(AskById(tuple(key.key_id for key in first.keys), 256)) == first
        pair.entities[1].order(Fault.REPLAY, on=("dec_keys",))
        failed = await slave.ask(AskById(tuple(key.key_id for key in second.keys), 256))
        assert isinstance(failed, Failed)
        assert "other keys than were asked for" in failed.reason


@pytest.mark.parametrize("on", ["status", "enc_keys"])
async def test_a_source_that_is_not_there_or_not_to_be_trusted_is_unreachable(
    pair: UpstreamPair, tmp_path: Path, on: str
) -> None:
    step = AskStatus() if on == "status" else AskKeys(1, 256)
    good = access(pair, 0)
    stranger = Authority(tmp_path / "stranger")
    stolen = Entity("kme-1", pair.vault)
    await stolen.start(pair.authority.server("other-host", address="127.0.0.2"))
    certificate, key = stranger.issue("sae-1")
    wrong = {
        "cannot be trusted": [replace(good, ca=stranger.ca), replace(good, url=stolen.url)],
        "": [replace(good, url="https://127.0.0.1:1"), replace(good, certificate=certificate, key=key)],
    }
    try:
        for reason, accesses in wrong.items():
            for one in accesses:
                async with Client(one) as client:
                    failed = await client.ask(step)
                assert isinstance(failed, Failed)
                assert failed.trouble is Trouble.UNREACHABLE, failed
                assert reason in failed.reason
    finally:
        await stolen.stop()


async def test_files_that_cannot_be_used_are_named_and_taken_again_once_they_can(
    pair: UpstreamPair, tmp_path: Path
) -> None:
    good = access(pair, 0)
    missing = replace(good, certificate=tmp_path / "gone.crt")
    with pytest.raises(TlsRefused, match=r"gone\.crt: cannot be used for the key source") as refusal:
        missing.context()
    assert refusal.value.reason == "TLS_FILE_UNREADABLE"
    async with Client(missing) as client:
        failed = await client.ask(AskStatus())
        assert isinstance(failed, Failed)
        assert failed.trouble is Trouble.UNREACHABLE
        (tmp_path / "gone.crt").write_bytes(good.certificate.read_bytes())
        assert isinstance(await client.ask(AskStatus()), Source)


async def test_a_key_that_is_encrypted_is_refused_by_name_and_nobody_is_asked(
    pair: UpstreamPair, tmp_path: Path
) -> None:
    good = access(pair, 0)
    key = serialization.load_pem_private_key(good.key.read_bytes(), None)
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )
    async with Client(replace(good, key=encrypted)) as client:
        failed = await client.ask(AskStatus())
        assert isinstance(failed, Failed)
        assert f"{encrypted}: holds an encrypted key" in failed.reason
    with pytest.raises(TlsRefused, match=r"absent\.key: cannot be used"):
        replace(good, key=tmp_path / "absent.key").context()


@pytest.mark.parametrize("host", ["a..b", "a" * 80])
async def test_a_name_that_no_host_can_have_is_a_failure_like_any_other(pair: UpstreamPair, host: str) -> None:
    async with Client(replace(access(pair, 0), url=f"https://{host}:1")) as client:
        failed = await client.ask(AskStatus())
    assert isinstance(failed, Failed)
    assert failed.trouble is Trouble.UNREACHABLE
