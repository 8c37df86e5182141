"""What an operator and two applications ask of a running network, in the words of tests."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from controller.cli.demo_keys import Key, KeyClient
from controller.identity.credentials import open_channel
from controller.identity.lab_ca import issue
from controller.identity.peers import Identity, Kind, parse_identity
from controller.identity.tls_files import files_in, load_tls
from qinet.lab.v1 import lab_pb2, lab_pb2_grpc
from qinet.northbound.v1 import (
    application_pb2,
    application_service_pb2,
    application_service_pb2_grpc,
    entanglement_service_pb2,
    entanglement_service_pb2_grpc,
    key_relay_pb2,
    key_relay_service_pb2,
    key_relay_service_pb2_grpc,
    link_pb2,
    operations_service_pb2,
    operations_service_pb2_grpc,
    topology_service_pb2,
    topology_service_pb2_grpc,
)
from qinet.northbound.v1.entanglement_path_pb2 import EntanglementPath
from tests.support.delivery_clients import Application

CONTROLLER: Final = Identity(Kind.CONTROLLER, "controller")
OPERATOR: Final = Identity(Kind.USER, "operator")
WITHIN_S: Final = 30.0
DEADLINE_S: Final = 20.0
State = key_relay_pb2.KeyRelay.State
Relay = key_relay_pb2.KeyRelay

_LOOK_EVERY_S: Final = 0.02


def wait_until(condition: Callable[[], bool], what: str, within_s: float = WITHIN_S) -> None:
    """Look again and again until the condition holds; fail after the time, saying what did not come."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"waited {within_s:g} s in vain for {what}"
        time.sleep(_LOOK_EVERY_S)


@dataclass(frozen=True, slots=True)
class Refused:
    """What a call was refused with."""

    code: grpc.StatusCode
    reason: str
    message: str
    facts: dict[str, str]


def refused_with(error: grpc.RpcError) -> Refused:
    """Return what the error of a call says."""
    call: Any = error  # what a stub raises is a call, too; its type does not say so
    status = rpc_status.from_call(call)
    info = ErrorInfo()
    for detail in status.details if status is not None else ():
        if detail.Is(ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
    return Refused(call.code(), info.reason, call.details() or "", dict(info.metadata))


def refusal(call: Callable[[], object]) -> Refused:
    """Return what the call is refused with; fail if it is not."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return refused_with(error)
    raise AssertionError(f"was not refused: {answer}")


@dataclass
class Operator:
    """An operator of a network.

    Attributes:
        directory: Holds the certificates, below `pki`.
        addresses: The controller's, as it wrote them.
        fleet: What the fleet wrote of itself.
    """

    directory: Path
    addresses: dict[str, str] = field(default_factory=dict, kw_only=True)
    fleet: dict[str, Any] = field(default_factory=dict, kw_only=True)
    _channels: list[grpc.Channel] = field(default_factory=list, kw_only=True)
    _saes: dict[str, str] = field(default_factory=dict, kw_only=True)

    @property
    def pki(self) -> Path:
        """Return the folder of the certificates."""
        return self.directory / "pki"

    @staticmethod
    def identity_of(node: str) -> Identity:
        """Return the identity of a node."""
        return Identity(Kind.NODE, node)

    def certify(self, *identities: Identity) -> None:
        """Issue certificates."""
        now = datetime.now(UTC)
        for identity in identities:
            issue(self.pki, identity, now=now)

    def hang_up(self) -> None:
        """Close all channels."""
        while self._channels:
            self._channels.pop().close()

    def channel(self, who: Identity = OPERATOR) -> grpc.Channel:
        """Open a channel to the controller's northbound; it is closed with the world."""
        channel = open_channel(load_tls(files_in(self.pki, who)), self.addresses["northbound"], CONTROLLER)
        self._channels.append(channel)
        return channel

    def on(self, channel: grpc.Channel) -> "Operator":
        """Return another operator's hands on the same network, over a channel of its own."""
        return Operator(self.directory, addresses=self.addresses, fleet=self.fleet, _channels=[channel])

    def _north(self) -> grpc.Channel:
        return self._channels[0] if self._channels else self.channel()

    @property
    def relays(self) -> key_relay_service_pb2_grpc.KeyRelayServiceStub:
        """Return the stub of key relays."""
        return key_relay_service_pb2_grpc.KeyRelayServiceStub(self._north())

    @property
    def paths(self) -> entanglement_service_pb2_grpc.EntanglementServiceStub:
        """Return the stub of entanglement paths."""
        return entanglement_service_pb2_grpc.EntanglementServiceStub(self._north())

    @property
    def applications(self) -> application_service_pb2_grpc.ApplicationServiceStub:
        """Return the stub of applications."""
        return application_service_pb2_grpc.ApplicationServiceStub(self._north())

    @property
    def operations(self) -> operations_service_pb2_grpc.OperationsServiceStub:
        """Return the stub of operations."""
        return operations_service_pb2_grpc.OperationsServiceStub(self._north())

    @property
    def topologies(self) -> topology_service_pb2_grpc.TopologyServiceStub:
        """Return the stub of the topology."""
        return topology_service_pb2_grpc.TopologyServiceStub(self._north())

    def order(self, **fault: Any) -> None:
        """Order a fault, as `order(cut=lab_pb2.CutFault(link=...))`."""
        tls = load_tls(files_in(self.pki, OPERATOR))
        lab = self.fleet["lab"]
        with open_channel(tls, lab["address"], parse_identity(lab["identity"])) as channel:
            lab_pb2_grpc.LabServiceStub(channel).OrderFault(lab_pb2.OrderFaultRequest(**fault), timeout=DEADLINE_S)

    def cut(self, link: str) -> None:
        """Cut a link's fibre."""
        self.order(cut=lab_pb2.CutFault(link=link))

    def repair(self, link: str) -> None:
        """Make a link as new again."""
        self.order(repair=lab_pb2.RepairFault(link=link))

    def crash(self, node: str) -> None:
        """Crash an agent of the fleet."""
        self.order(crash=lab_pb2.CrashFault(node=node))

    def restart(self, node: str) -> None:
        """Restart a crashed agent of the fleet."""
        self.order(restart=lab_pb2.RestartFault(node=node))

    def agents(self) -> dict[str, operations_service_pb2.Agent]:
        """Return what the controller knows of agents, by node."""
        request = operations_service_pb2.ListAgentsRequest(page_size=1000)
        answer = self.operations.ListAgents(request, timeout=DEADLINE_S, wait_for_ready=True)
        return {agent.node.removeprefix("nodes/"): agent for agent in answer.agents}

    def alarms(self) -> list[operations_service_pb2.Alarm]:
        """Return the active alarms."""
        request = operations_service_pb2.ListAlarmsRequest(page_size=1000)
        return list(self.operations.ListAlarms(request, timeout=DEADLINE_S).alarms)

    def cluster(self) -> operations_service_pb2.GetClusterStatusResponse:
        """Return how the controller stands."""
        return self.operations.GetClusterStatus(
            operations_service_pb2.GetClusterStatusRequest(), timeout=DEADLINE_S, wait_for_ready=True
        )

    def links(self) -> dict[str, link_pb2.Link]:
        """Return the links, by name."""
        request = topology_service_pb2.ListLinksRequest(page_size=1000)
        answer = self.topologies.ListLinks(request, timeout=DEADLINE_S)
        return {link.name.removeprefix("links/"): link for link in answer.links}

    def all_connected(self) -> None:
        """Wait until every node's agent holds a session and is up to date."""

        def connected() -> bool:
            return all(agent.connected and agent.up_to_date for agent in self.agents().values())

        wait_until(connected, "every agent to connect")

    def application(self, name: str, master: tuple[str, str], slave: tuple[str, str]) -> None:
        """Register an application of two SAEs given as (id, node), with certificates and directory entries."""
        for sae, node in (master, slave):
            if sae in self._saes:
                continue
            self._saes[sae] = node
            self.certify(Identity(Kind.SAE, sae))
            self.applications.CreateSae(
                application_service_pb2.CreateSaeRequest(
                    sae_id=sae, sae=application_pb2.Sae(node=f"nodes/{node}"), request_id=f"sae-{sae}"
                ),
                timeout=DEADLINE_S,
            )
        self.applications.CreateApplication(
            application_service_pb2.CreateApplicationRequest(
                application_id=name,
                application=application_pb2.Application(
                    server_sae=f"saes/{master[0]}", client_saes=[f"saes/{slave[0]}"]
                ),
                request_id=f"application-{name}",
            ),
            timeout=DEADLINE_S,
        )

    def create(self, name: str, source: str, target: str, rate_bit_per_s: float = 100.0, **more: Any) -> Relay:
        """Create a key relay; a request_id goes with it, as `qinetctl` sends one."""
        request_id = more.pop("request_id", f"relay-{name}")
        relay = Relay(source=f"nodes/{source}", target=f"nodes/{target}", rate_bit_per_s=rate_bit_per_s, **more)
        request = key_relay_service_pb2.CreateKeyRelayRequest(key_relay_id=name, key_relay=relay, request_id=request_id)
        return self.relays.CreateKeyRelay(request, timeout=DEADLINE_S).key_relay

    def create_path(
        self, name: str, source: str, target: str, rate_hz: float = 0.5, fidelity: float = 0.7, **more: Any
    ) -> EntanglementPath:
        """Create an entanglement path."""
        path = EntanglementPath(
            source=f"nodes/{source}", target=f"nodes/{target}", rate_hz=rate_hz, minimum_fidelity=fidelity, **more
        )
        request = entanglement_service_pb2.CreateEntanglementPathRequest(
            entanglement_path_id=name, entanglement_path=path, request_id=f"create-{name}"
        )
        return self.paths.CreateEntanglementPath(request, timeout=DEADLINE_S).entanglement_path

    def path(self, name: str) -> EntanglementPath:
        """Return an entanglement path as it is."""
        request = entanglement_service_pb2.GetEntanglementPathRequest(name=f"entanglementPaths/{name}")
        return self.paths.GetEntanglementPath(request, timeout=DEADLINE_S).entanglement_path

    def delete_path(self, name: str) -> None:
        """Delete an entanglement path; it may be gone only later."""
        request = entanglement_service_pb2.DeleteEntanglementPathRequest(name=f"entanglementPaths/{name}")
        self.paths.DeleteEntanglementPath(request, timeout=DEADLINE_S)

    def all_paths(self) -> dict[str, EntanglementPath]:
        """Return every entanglement path, by id."""
        request = entanglement_service_pb2.ListEntanglementPathsRequest(page_size=1000)
        answer = self.paths.ListEntanglementPaths(request, timeout=DEADLINE_S)
        return {path.name.removeprefix("entanglementPaths/"): path for path in answer.entanglement_paths}

    def delete(self, name: str, etag: str = "") -> None:
        """Delete a key relay; it may be gone only later."""
        request = key_relay_service_pb2.DeleteKeyRelayRequest(name=f"keyRelays/{name}", etag=etag)
        self.relays.DeleteKeyRelay(request, timeout=DEADLINE_S)

    def relay(self, name: str) -> Relay:
        """Return a relay as it is."""
        request = key_relay_service_pb2.GetKeyRelayRequest(name=f"keyRelays/{name}")
        return self.relays.GetKeyRelay(request, timeout=DEADLINE_S).key_relay

    def all_relays(self) -> dict[str, Relay]:
        """Return all relays, by name."""
        request = key_relay_service_pb2.ListKeyRelaysRequest(page_size=1000)
        answer = self.relays.ListKeyRelays(request, timeout=DEADLINE_S)
        return {relay.name.removeprefix("keyRelays/"): relay for relay in answer.key_relays}

    def routes(self, source: str, target: str, rate_bit_per_s: float = 100.0, **more: Any) -> list[list[str]]:
        """Return the links of the best candidate's routes, one per share, without creating anything."""
        relay = Relay(source=f"nodes/{source}", target=f"nodes/{target}", rate_bit_per_s=rate_bit_per_s, **more)
        answer = self.relays.ComputeRoutes(
            key_relay_service_pb2.ComputeRoutesRequest(key_relay=relay, max_candidates=1), timeout=DEADLINE_S
        )
        (best,) = answer.candidates
        return [[hop.link.removeprefix("links/") for hop in route.hops] for route in best.routes]

    def follow(self, names: Sequence[str], until: Callable[[Relay], bool], what: str) -> dict[str, Relay]:
        """Watch until the condition held once for each of the relays; return each as it was then.

        A name that is gone fails, unless that is what is waited for: see `gone`.
        """
        missing = {f"keyRelays/{name}": name for name in names}
        last: dict[str, str] = {}
        found: dict[str, Relay] = {}
        stream = self.relays.WatchKeyRelays(
            key_relay_service_pb2.WatchKeyRelaysRequest(), timeout=WITHIN_S, wait_for_ready=True
        )
        try:
            for step in stream:
                relay = step.key_relay
                if relay.name in missing:
                    last[relay.name] = f"{State.Name(relay.state)} {relay.state_reason}"
                    if until(relay):
                        found[missing.pop(relay.name)] = relay
                if not missing:
                    return found
        except grpc.RpcError:
            if stream.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
        finally:
            stream.cancel()
        raise AssertionError(
            f"waited {WITHIN_S:g} s in vain for {what}: { ({name: last.get(name) for name in missing}) }"
        )

    def active(self, *names: str) -> dict[str, Relay]:
        """Wait until the relays are ACTIVE."""
        return self.follow(names, lambda relay: relay.state == State.STATE_ACTIVE, "ACTIVE relays")

    def gone(self, *names: str) -> None:
        """Wait until the relays are deleted and released."""
        wait_until(lambda: not self.all_relays().keys() & set(names), f"the end of {', '.join(names)}")

    # ------------------------------------------------------------ keys

    def address(self, sae: str) -> str:
        """Return host:port of the GS QKD 014 server of a registered SAE's node."""
        return str(self.agents()[self._saes[sae]].delivery_address)

    def client(self, sae: str) -> KeyClient:
        """Return a registered SAE at its own node."""
        return KeyClient(self.pki, sae, self.address(sae))

    def foreign(self, sae: str) -> Application:
        """Return a registered SAE as the foreign clients take it."""
        return self.foreign_at(sae, self._saes[sae])

    def foreign_at(self, sae: str, node: str) -> Application:
        """Return an SAE that has a certificate, and nothing else of it, at some node."""
        files = files_in(self.pki, Identity(Kind.SAE, sae))
        return Application(sae=sae, kme_url=f"https://{self.agents()[node].delivery_address}", files=files)

    def fetch(self, master: str, slave: str, number: int = 1, size_bit: int = 256) -> list[Key]:
        """Fetch keys as master and by their ids as slave; see that they are equal, and return them."""
        at_master, at_slave = self.client(master), self.client(slave)
        wait_until(lambda: at_master.status(slave)["stored_key_count"] >= number, f"{number} keys from {master}")
        keys = at_master.get_keys(slave, number, size_bit)
        assert len({key.key_id for key in keys}) == number
        assert at_slave.get_keys_with_ids(master, [key.key_id for key in keys]) == keys
        return keys
