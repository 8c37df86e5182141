"""The two daemons, `qinet-agent run` and `qinet-agent fleet`: they run until a signal ends them."""

import asyncio
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from controller.identity.peers import Identity, Kind
from southbound.agent.node import Agent, AgentPlan
from southbound.agent.storage import StoreRefused
from southbound.commands.exits import Exit
from southbound.commands.process import Process
from southbound.fleet.fleet import Fleet, FleetPlan
from southbound.fleet.lab import LabServer

log = logging.getLogger(__name__)

AGENT_FILE = "agent.json"
FLEET_FILE = "fleet.json"
_LOCK = "fleet.lock"


async def run_agent(plan: AgentPlan) -> Exit:
    """Run one agent until SIGINT or SIGTERM; FAULT when it fails before. SIGHUP renews its certificate.

    Once it listens, `agent.json` in its state directory tells its addresses.
    """
    process = Process()
    agent = await Agent.start(plan)
    ready = plan.state_dir / AGENT_FILE
    try:
        _tell(ready, {"node": plan.node.name, "peer": agent.peer_address, "delivery": agent.delivery_address})
        failed = asyncio.create_task(agent.failed.wait())
        signalled = asyncio.create_task(process.ended.wait())
        async with process.serving(f"peer={agent.peer_address} delivery={agent.delivery_address}", [plan.tls]):
            await asyncio.wait({failed, signalled}, return_when=asyncio.FIRST_COMPLETED)
        for task in (failed, signalled):
            task.cancel()
    finally:
        ready.unlink(missing_ok=True)
        await agent.stop()
    return Exit.FAULT if agent.failed.is_set() else Exit.DONE


async def run_fleet(plan: FleetPlan, lab_listen: tuple[str, int] | None) -> Exit:
    """Run a fleet until SIGINT or SIGTERM. SIGHUP renews the certificates.

    Once all agents listen, `fleet.json` in the state directory tells their addresses, and the lab's with the
    identity that answers there.

    Raises:
        Refusal: It cannot be run; nothing was started.
    """
    process = Process()
    fleet = Fleet(plan)
    told: dict[str, object] = {
        "pid": os.getpid(),
        "pki": str(plan.pki.resolve()),
        "topology": plan.network.topology.name,
    }
    face = min(fleet.plans)
    lab = None if lab_listen is None else LabServer(fleet, fleet.plans[face].tls, lab_listen)
    with _held(plan.state_dir) as ready:
        try:
            if lab is not None:
                told["lab"] = {"address": await lab.bind(), "identity": str(Identity(Kind.NODE, face))}
            await fleet.start()
            if lab is not None:
                await lab.serve()
            told["nodes"] = {
                name: {"peer": agent.peer_address, "delivery": agent.delivery_address}
                for name, agent in sorted(fleet.agents.items())
            }
            _tell(ready, told)
            links = len(fleet.channels) + len(fleet.pair_conditions)
            log.info("fleet runs nodes=%d links=%d, all modules simulated", len(fleet.agents), links)
            async with process.serving(f"nodes={len(fleet.agents)}", [each.tls for each in fleet.plans.values()]):
                await process.ended.wait()
        finally:
            if lab is not None:
                await lab.stop()
            await fleet.stop()
    return Exit.DONE


@contextmanager
def _held(directory: Path) -> Iterator[Path]:
    """Hold a fleet's state directory against other fleets; yield its `fleet.json`, which only the holder touches.

    Raises:
        StoreRefused: Another fleet has it, or it cannot be written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise StoreRefused(
            "STORE_UNAVAILABLE", directory, f"cannot be written ({problem.strerror}): choose a directory of yours"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StoreRefused(
            "STORE_HELD", directory, "another fleet has this state directory: stop it, or give this one its own --state"
        ) from None
    ready = directory / FLEET_FILE
    try:
        ready.unlink(missing_ok=True)
        yield ready
    finally:
        ready.unlink(missing_ok=True)
        os.close(lock)


def _tell(path: Path, content: Mapping[str, object]) -> None:
    """Write a file so that whoever sees it sees all of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = path.with_suffix(".new")
    written.write_text(json.dumps(content, indent=2) + "\n")
    written.replace(path)
