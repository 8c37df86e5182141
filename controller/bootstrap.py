"""The composition root: makes the parts of a controller, joins them, starts and stops them."""

import asyncio
import gc
import json
import logging
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, disable_created_metrics

from controller.config.controller_file import ControllerConfig, MetricsConfig
from controller.config.reloading import Reload
from controller.config.topology_file import load_topology
from controller.domain.events import AgentEvent
from controller.domain.refusals import Precondition, Refusal
from controller.hosting import host_os_ken_apps, load_os_ken_apps
from controller.identity.credentials import https_server_context
from controller.identity.rotation import RotatingTls
from controller.identity.tls_files import Tls
from controller.northbound.operations import ControllerFacts
from controller.northbound.server import NorthboundServer, NorthboundSettings
from controller.observability.http import MetricsServer
from controller.observability.logs import configure_logging
from controller.observability.metrics import Metrics
from controller.observability.network_metrics import NetworkCollector
from controller.observability.service_manager import ServiceManager
from controller.observability.terminal import Terminal
from controller.ports.clock import SystemClock
from controller.ports.observations import Observations
from controller.ports.store import Store
from controller.preflight import check_ports, load_app, load_controller_tls
from controller.reloading import Reloader
from controller.service.figures import Listed, network_view
from controller.service.requests import ApplyTopology
from controller.service.writer import Writer
from controller.store.memory import MemoryStore
from controller.store.sqlite import SqliteStore
from controller.wire.entries import entry_to_bytes
from southbound.control.server import AgentServer
from southbound.control.settings import ControlSettings

log = logging.getLogger(__name__)

WRITER_DIED: Final = 70
"""Exit code when the writer is dead or stuck: nobody else may decide, so the process ends."""
_TICK_S: Final = 0.1
_STUCK_AFTER_S: Final = 30.0


def run(config: ControllerConfig, file: Path) -> int:
    """Run a controller until it is told to stop, and return the exit code.

    Args:
        config: As it was read.
        file: Where it was read, and is again at each SIGHUP.

    Raises:
        Refusal: It cannot start; says why.
    """
    configure_logging(config.logging.level, as_json=config.logging.json)
    disable_created_metrics()  # type: ignore[no-untyped-call]  # every series begins with the process: no news
    return asyncio.run(_Controller(config, file).run())


class _Controller:
    def __init__(self, config: ControllerConfig, file: Path) -> None:
        self._config = config
        self._file = file
        self._apps = [load_app(name) for name in config.apps]
        if config.os_ken is not None:
            load_os_ken_apps(config.os_ken.apps)
        self._tls = RotatingTls(load_controller_tls(config))
        self._registry = CollectorRegistry()
        self._metrics = Metrics(self._registry)
        self._metrics.info.labels(version("qinet-controller")).set(1)
        self._metrics.configured(config.sha256)
        self._note_expiry()
        self._listed = _listed(config)
        self._observations = Observations()
        self._clock = SystemClock()
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._manager = ServiceManager()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        terminal = Terminal()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._end() if terminal.gone() else self._reload.set())
        check_ports(self._config)  # before the store is made, so that a start in vain leaves nothing behind
        async with AsyncExitStack() as stack:
            store = _store(self._config)
            stack.callback(store.close)
            writer, agents = self._writer(store, loop)
            stack.push_async_callback(asyncio.to_thread, writer.stop)
            writer.start()
            await self._apply_topology(writer)
            northbound, addresses = await self._listen(writer, agents, stack)
            addresses |= await host_os_ken_apps(self._config, writer, self._metrics, stack)
            gc.collect()
            gc.freeze()  # what was loaded stays; the collector need not walk it at every turn
            if self._config.addresses is not None:
                _write_addresses(self._config.addresses, addresses)
            log.info(
                "controller ready name=%s %s", self._config.name, " ".join(f"{k}={v}" for k, v in addresses.items())
            )
            reloader = Reloader(
                self._file,
                self._config,
                apply=lambda reload, tls: self._put_in_force(reload, tls, agents, northbound),
                deliver=lambda event: writer.deliver(event, None),
                count=lambda outcome: self._metrics.configuration_reloads_total.labels(outcome).inc(),
            )
            working = [
                asyncio.create_task(self._tick(writer, reloader), name="tick"),
                asyncio.create_task(self._reload_when_asked(reloader, addresses), name="reload"),
            ]
            self._manager.ready(_status(addresses))
            await self._stop.wait()
            for task in working:
                task.cancel()
            self._manager.stopping()
            log.info("controller stopping")
        log.info("controller stopped")
        return 0

    def _end(self) -> None:
        """Stop in order; a second signal, of either kind, ends the process at once, also one that hangs."""
        self._stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    async def _reload_when_asked(self, reloader: Reloader, addresses: dict[str, str]) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            self._manager.reloading()
            taken = await reloader.reload()
            self._manager.ready(_status(addresses) + ("" if taken else "; configuration refused, see the log"))

    def _put_in_force(self, reload: Reload, tls: Tls, agents: AgentServer, northbound: NorthboundServer) -> None:
        config = self._config = reload.config
        configure_logging(config.logging.level, as_json=config.logging.json)
        if self._tls.rotate(tls):
            log.info("certificate in force file=%s until=%s", tls.files.certificate, tls.not_valid_after.isoformat())
        self._note_expiry()
        self._listed = _listed(config)
        agents.reconfigure(self._control_settings())
        northbound.configured(config.sha256)
        self._metrics.configured(config.sha256)

    def _note_expiry(self) -> None:
        tls = self._tls.current
        for certificate, until in (("controller", tls.not_valid_after), ("ca", tls.ca_not_valid_after)):
            self._metrics.certificate_expiry_seconds.labels(certificate).set(until.timestamp())

    def _control_settings(self) -> ControlSettings:
        return ControlSettings(
            heartbeat_interval_ms=self._config.southbound.heartbeat_interval_ms,
            report_interval_ms=self._config.southbound.report_interval_ms,
        )

    def _writer(self, store: Store, loop: asyncio.AbstractEventLoop) -> tuple[Writer, AgentServer]:
        made: list[Writer] = []

        def deliver(event: AgentEvent, done: Callable[[], None] | None) -> bool:
            return made[0].deliver(event, done)

        agents = AgentServer(
            deliver=deliver,
            observations=self._observations,
            clock=self._clock,
            settings=self._control_settings(),
            push_to_ack=lambda ms: self._metrics.push_to_ack_seconds.observe(ms / 1000),
            topology=lambda: made[0].desk.published.snapshot,
        )
        made.append(
            Writer(
                store=store,
                apps=self._apps,
                encode=entry_to_bytes,
                agents=agents,
                clock=self._clock,
                metrics=self._metrics,
                loop=loop,
                on_death=self._died,
                auto_relay=self._config.auto_relay,
                admission=self._config.admission,
            )
        )
        return made[0], agents

    def _died(self, death: BaseException) -> None:
        # Called from the writer's thread. Nothing is flushed or told: what was acknowledged is durable already.
        log.critical("the writer died, and the process with it: %r", death)
        logging.shutdown()
        os._exit(WRITER_DIED)

    async def _apply_topology(self, writer: Writer) -> None:
        if self._config.topology is None:
            return
        topology = load_topology(self._config.topology)
        asked = ApplyTopology(
            caller=self._tls.current.identity.uri,
            nodes={node.name: node for node in topology.nodes},
            links={link.name: link for link in topology.links},
            network_name=topology.name,
        )
        try:
            result = await writer.desk.submit(asked)
        except Refusal as refusal:
            file = self._config.topology
            raise Precondition(
                refusal.reason,
                f"{file} cannot be applied: {refusal}. Correct the file (put back what it leaves out), or, to make the "
                "change: take `topology:` out of the configuration, start, delete what is named with qinetctl, then "
                f"`qinetctl topology apply {file}`",
                {**refusal.facts(), "file": str(file)},
            ) from None
        log.info("topology applied name=%s changes=%d", topology.name, len(result.actions))

    async def _listen(
        self, writer: Writer, agents: AgentServer, stack: AsyncExitStack
    ) -> tuple[NorthboundServer, dict[str, str]]:
        addresses: dict[str, str] = {}
        stack.push_async_callback(agents.stop)
        host, port = self._config.southbound.listen
        addresses["southbound"] = f"{host}:{await agents.start(self._tls, f'{host}:{port}')}"
        host, port = self._config.northbound
        northbound = NorthboundServer(
            tls=self._tls,
            desk=writer.desk,
            observations=self._observations,
            clock=self._clock,
            facts=ControllerFacts(
                name=self._config.name,
                address=f"{host}:{port}",
                version=version("qinet-controller"),
                config_hash=self._config.sha256,
                start_ms=self._clock.wall_ms(),
            ),
            settings=NorthboundSettings(address=f"{host}:{port}"),
            metrics=self._metrics,
        )
        addresses["northbound"] = f"{host}:{await northbound.start()}"
        stack.push_async_callback(northbound.stop)
        if self._config.metrics is not None:
            addresses["metrics"] = await self._expose(writer, self._config.metrics, stack)
        return northbound, addresses

    async def _expose(self, writer: Writer, config: MetricsConfig, stack: AsyncExitStack) -> str:
        NetworkCollector(
            lambda: network_view(writer, self._observations, self._listed, self._clock.monotonic_ms()), self._registry
        )
        server = MetricsServer(self._registry, lambda: writer.alive)
        stack.push_async_callback(server.stop)
        host, port = config.listen
        try:
            bound = await server.start(host, port, None if config.plaintext else https_server_context(self._tls))
        except OSError as problem:
            raise Precondition(
                "ADDRESS_IN_USE",
                f"cannot listen for Prometheus at {host}:{port}: {problem.strerror}; "
                "choose another in the configuration (metrics)",
                {"address": f"{host}:{port}"},
            ) from None
        return f"{'http' if config.plaintext else 'https'}://{host}:{bound}/metrics"

    async def _tick(self, writer: Writer, reloader: Reloader) -> None:
        """Tell the writer the time, and see that it goes on: only then the service manager hears that we live."""
        loop = asyncio.get_running_loop()
        beats, since = writer.beats, loop.time()
        while True:
            await asyncio.sleep(_TICK_S)
            writer.tick()
            reloader.tell()
            if writer.beats != beats:
                beats, since = writer.beats, loop.time()
                self._manager.alive()
            elif loop.time() - since > _STUCK_AFTER_S:
                self._died(TimeoutError(f"no sign of life for {_STUCK_AFTER_S} s"))


def _store(config: ControllerConfig) -> Store:
    if config.store.kind == "memory":
        return MemoryStore()
    return SqliteStore(config.store.path)


def _listed(config: ControllerConfig) -> Listed:
    metrics = config.metrics
    return Listed() if metrics is None else Listed(relays=frozenset(metrics.relays), paths=frozenset(metrics.paths))


def _status(addresses: dict[str, str]) -> str:
    return " ".join(f"{face}={address}" for face, address in addresses.items())


def _write_addresses(path: Path, addresses: dict[str, str]) -> None:
    """Write the bound addresses whole or not at all: who waits for the file may read it at once."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(addresses) + "\n")
    partial.replace(path)
