"""What is in force at an agent goes to the controller in parts, however much it is: both sides, without the wire."""

from types import MappingProxyType

from controller.domain.entries import LinkEntry, digest_of, entry_hash
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.agent.configuration import Configuration, Held
from southbound.agent.notices import Notices
from southbound.agent.session import Say, Session
from tests.unit.control.model_agent import ELECTION, ModelAgent
from tests.unit.control.stage import Stage

ENTRY = LinkEntry(
    link="l",
    local_interface=1,
    remote_interface=1,
    neighbour="b",
    neighbour_address="",
    enabled=True,
    authentication_floor_bit=0,
    authentication_rate_millibit_per_s=0,
    qber_limit=0.11,
    key_ttl_s=1,
)


def test_sixty_thousand_hashes_go_in_messages_that_the_controller_takes() -> None:
    # given an agent with 60,000 entries, of which the controller wants one fewer
    contents = {f"keyRelays/relay-{n:05}/routes/1/shares/0": b"%d" % n for n in range(60_000)}
    held = {name: Held(content=one, entry=ENTRY, hash=entry_hash(name, one)) for name, one in contents.items()}
    configuration = Configuration(
        entries=MappingProxyType(held), digest=digest_of({name: one.hash for name, one in held.items()})
    )
    stage = Stage()
    wanted = dict(contents)
    gone = next(iter(wanted))
    del wanted[gone]
    stage.push(wanted)
    agent = Session(node="a", highest=None, notices=Notices(), now_s=0.0)
    model = ModelAgent()
    hello = model.hello()
    hello.hello.base_digest = configuration.digest
    session = stage.open(hello)

    # when it is asked what is in force
    answers: list[pb.SessionRequest] = []
    while (message := session.next_message(stage.now_ms)) is not None:
        effects = agent.receive(message, configuration, 0.0, 0.0)
        answers += [effect.request for effect in effects if isinstance(effect, Say)]
    assert len(answers) > 4
    assert max(answer.ByteSize() for answer in answers) < stage.settings.max_message_bytes
    for answer in answers:
        stage.hear(session, answer)

    # then the controller knows, and sends the difference
    message = session.next_message(stage.now_ms)
    assert message is not None
    assert message.election_id.term == ELECTION.term
    assert list(message.config_update.deletes) == [gone]
    assert not message.config_update.upserts
