"""Lets OpenFlow switches in, in the place of os-ken's own listener, which on threads neither ends nor notices an end.

What it does otherwise: it binds the one address it is given, before anything else could depend on it; it notices when a
switch hangs up (os-ken waits for a thread that waits for ever, and apps are never told); it ends; and an app that does
not take its events holds up neither the switch nor the other apps, because it hands over through their forwarders.
"""

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

from os_ken.base.app_manager import OSKenApp
from os_ken.controller.controller import Datapath
from os_ken.controller.handler import MAIN_DISPATCHER
from os_ken.controller.ofp_handler import OFPHandler

from controller.domain.refusals import Precondition

log = logging.getLogger(__name__)

MOST_SWITCHES: Final = 1024
_END_WITHIN_S: Final = 2.0
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))

HandOver = Callable[[str, Any, str | None], None]


class _Connection(Datapath):  # type: ignore[misc]  # os-ken has no types
    def _recv_loop(self) -> None:
        try:
            super()._recv_loop()
        finally:
            self.close()  # tells the apps that the switch is gone
            self.send(b"", close_socket=True)  # the sending thread waits for a message, and nothing else wakes it


class OpenFlowListener(OFPHandler):  # type: ignore[misc]  # os-ken has no types
    """Shakes hands with switches as os-ken does, and tells apps of them; listens from `listen` to `stop`."""

    def __init__(self, *arguments: Any, **contexts: Any) -> None:
        super().__init__(*arguments, **contexts)
        self._hand_over: HandOver | None = None
        self._lock = threading.Lock()
        self._server: socket.socket | None = None
        self._threads: dict[threading.Thread, socket.socket | None] = {}
        self._datapaths: dict[threading.Thread, _Connection] = {}
        self._ending = threading.Event()

    def start(self) -> None:
        """Begin without listening: a switch that came before the apps are fed would be one that nobody is told of."""
        OSKenApp.start(self)

    def listen(self, address: tuple[str, int], hand_over: HandOver) -> tuple[str, int]:
        """Let switches in; return the bound address.

        Args:
            address: Host and port; port 0 takes any free one.
            hand_over: Gets (name of the app, event, dispatcher); never blocks.

        Raises:
            Precondition: ADDRESS_IN_USE.
        """
        host, port = address
        try:
            family, *_, found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            self._server = socket.create_server(found[:2], family=family)
        except OSError as problem:
            raise Precondition(
                "ADDRESS_IN_USE",
                f"cannot listen for OpenFlow at {host}:{port}: {problem.strerror or problem}; stop what listens there, "
                "or choose another address in the configuration (os_ken.listen)",
                {"address": f"{host}:{port}", "service": "os_ken"},
            ) from None
        self._hand_over = hand_over
        self._spawn(self._accept, None, self._server)
        return host, int(self._server.getsockname()[1])

    def send_event(self, name: str, ev: Any, state: str | None = None) -> None:
        """Hand an event over to the app of a name."""
        if self._hand_over is not None:
            self._hand_over(name, ev, state)

    def switches(self) -> tuple[_Connection, ...]:
        """Return the switches that are connected and ready."""
        with self._lock:
            return tuple(each for each in self._datapaths.values() if each.state == MAIN_DISPATCHER)

    def stop(self) -> None:
        """Hang up on every switch, and end."""
        with self._lock:
            self._ending.set()
            threads = dict(self._threads)
        for connection in (self._server, *threads.values()):
            if connection is not None:
                with contextlib.suppress(OSError):  # gone already
                    connection.shutdown(socket.SHUT_RDWR)  # a close alone would not wake who waits in it
        for thread in threads:
            thread.join(_END_WITHIN_S)
        if self._server is not None:
            self._server.close()
        super().stop()

    def _spawn(self, work: Callable[..., None], connection: socket.socket | None, *arguments: Any) -> None:
        def run() -> None:
            try:
                work(*arguments)
            finally:
                with self._lock:
                    self._threads.pop(thread, None)
                    self._datapaths.pop(thread, None)

        thread = threading.Thread(target=run, name=f"openflow {work.__name__.strip('_')}", daemon=True)
        with self._lock:
            if self._ending.is_set():  # whoever comes now is not among those that are hung up on
                raise ConnectionAbortedError("the controller is ending")
            self._threads[thread] = connection
            try:
                thread.start()
            except RuntimeError as problem:  # no more threads can be had
                del self._threads[thread]
                raise OSError(str(problem)) from None

    def _accept(self, server: socket.socket) -> None:
        while not self._ending.is_set():
            connection = None
            try:
                connection, address = server.accept()
                if len(self._threads) > MOST_SWITCHES:  # one of them is ours
                    log.warning("a switch is turned away: there are %d address=%s", MOST_SWITCHES, address)
                    connection.close()
                else:
                    self._spawn(self._serve, connection, connection, address)
            except OSError as problem:
                if connection is not None:
                    connection.close()
                if not self._ending.is_set():
                    log.warning("cannot let a switch in problem=%s", problem)
                    self._ending.wait(1.0)  # out of file descriptors, say: not asked again and again

    def _serve(self, connection: socket.socket, address: Any) -> None:
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                if hasattr(socket, option):
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            with contextlib.closing(_Connection(connection, address)) as datapath:
                with self._lock:
                    self._datapaths[threading.current_thread()] = datapath
                log.info("switch connected address=%s", address)
                datapath.serve()
        except Exception:
            # Anything can be sent to this port. Whoever sent it is hung up on; the others stay.
            log.exception("switch failed address=%s", address)
        finally:
            connection.close()
        log.info("switch gone address=%s", address)
