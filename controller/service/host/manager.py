"""os-ken's application manager as we run it: loads apps, guards their handlers, begins and ends them.

Import it after `native.choose_native_hub`. Everything of os-ken runs in daemon threads: a thread that one of them
begins is one too, so that an app that never returns cannot hold up the end of the process.
"""

import functools
import inspect
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty
from typing import Any, Final, TypeVar

from os_ken import cfg
from os_ken.base.app_manager import SERVICE_BRICKS, AppManager, OSKenApp
from os_ken.lib import hub

from controller.service.host.forwarder import Fed
from controller.service.host.native import OsKenUnusable, refuse_eventlet

log = logging.getLogger(__name__)
T = TypeVar("T")

OPENFLOW: Final = "os_ken.controller.ofp_handler"
"""The app of os-ken that listens for switches; it comes with any app that handles OpenFlow events."""
_OPENFLOW_NAME: Final = "ofp_event"
START_WITHIN_S: Final = 30.0

OnError = Callable[[str], None]


class HostedApp:
    """One app that runs. Its own queue is its Room: os-ken's own way to send would wait for ever."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.name: str = type(app).__module__

    @property
    def handles(self) -> frozenset[type]:
        """Return the classes of the events that it subscribed to."""
        return frozenset(self.app.event_handlers)

    @property
    def depth(self) -> int:
        """Return how many events wait in its own queue."""
        return int(self.app.events.qsize())

    @property
    def alive(self) -> bool:
        """Tell whether its thread runs."""
        return any(thread.is_alive() for thread in self.app.threads)

    @property
    def head(self) -> Any:
        """Return what is first in its queue; None when nothing is."""
        with self.app.events.mutex:
            return self.app.events.queue[0] if self.app.events.queue else None

    def reserve(self, within_s: float) -> bool:
        """Wait for a slot, and hold it; False when there was none in time."""
        return bool(self.app._events_sem.acquire(timeout=within_s))

    def put(self, fed: Fed) -> None:
        """Put an event into the slot that is held."""
        self.app.events.put((fed.event, fed.state))

    def give_back(self) -> None:
        """Leave the slot that is held unused."""
        self.app._events_sem.release()

    def guard(self, on_error: OnError) -> None:
        """Have every handler survive what it raises: with threads, os-ken ends the app without a word."""
        for handlers in self.app.event_handlers.values():
            handlers[:] = [_guarded(self.name, handler, on_error) for handler in handlers]

    def end(self) -> None:
        """End its threads; blocks for as long as a handler runs."""
        self.app.is_active = False
        while True:
            try:
                self.app.events.get_nowait()
            except Empty:
                break
            self.give_back()
        self.app.stop()
        self.app.close()


def _guarded(app: str, handler: Callable[[Any], Any], on_error: OnError) -> Callable[[Any], None]:
    @functools.wraps(handler)  # keeps `callers`, by which os-ken filters
    def guarded(event: Any) -> None:
        try:
            handler(event)
        except Exception:
            # os-ken's event loop takes any exception for its own end (TaskExit): the app would be deaf from then on.
            log.exception("os-ken app failed app=%s event=%s", app, type(event).__name__)
            on_error(app)

    return guarded


class NotInTime(Exception):  # noqa: N818
    """Work takes too long. No TimeoutError: that one may be the work's own."""


def in_daemon_thread(work: Callable[[], T], within_s: float) -> T:
    """Return what the work returns, done in a daemon thread.

    Raises:
        NotInTime: It is not done, and goes on.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as problem:
            outcome.set_exception(problem)

    thread = threading.Thread(target=run, name="os-ken", daemon=True)
    thread.start()
    thread.join(within_s)
    if not outcome.done():
        raise NotInTime
    return outcome.result()


def load(modules: Sequence[str]) -> AppManager:
    """Import the apps and whatever they require, and make nothing of them yet.

    Args:
        modules: Dotted names; each module defines one OSKenApp.

    Raises:
        OsKenUnusable: One cannot be imported, or is not such a module; says which.
    """
    manager = AppManager.get_instance()
    _forget(manager)
    _load(manager, modules)
    return manager


def check(modules: Sequence[str]) -> None:
    """Import the apps and whatever they require; what runs of os-ken in this process is left alone.

    Raises:
        OsKenUnusable: As by `load`.
    """
    _load(AppManager(), modules)


def _load(manager: AppManager, modules: Sequence[str]) -> None:
    if hub.HUB_TYPE != "native":
        raise OsKenUnusable(f"os-ken was imported with the hub {hub.HUB_TYPE} before the controller could choose")
    for module in modules:
        _attempt(module, functools.partial(manager.load_apps, [module]))
        refuse_eventlet(module)
        found = _app_classes(module)
        if len(found) != 1:
            raise OsKenUnusable(
                f"os-ken app {module}: its module defines {len(found)} subclasses of OSKenApp"
                f"{' (' + ', '.join(found) + ')' if found else ''}, and os-ken runs one of each module: "
                "give each a module of its own",
                module,
            )


def _app_classes(module: str) -> list[str]:
    members = vars(__import__(module, fromlist=["_"])).values()
    return [
        each.__name__
        for each in members
        if inspect.isclass(each) and issubclass(each, OSKenApp) and each.__module__ == module
    ]


def start(manager: AppManager, openflow: type[Any] | None) -> list[HostedApp]:
    """Make and begin all that was loaded; the one that speaks OpenFlow comes last, and does not listen yet.

    Args:
        manager: With loaded apps.
        openflow: Takes the place of os-ken's own, which would listen on every address and never end.

    Raises:
        OsKenUnusable: An app cannot be made.
    """
    if OPENFLOW in manager.applications_cls:
        if openflow is None:
            raise OsKenUnusable("an os-ken app handles OpenFlow events, and this controller speaks no OpenFlow")
        manager.applications_cls[OPENFLOW] = openflow
    # What os-ken reads is its defaults: neither our command line nor anybody's file in a home directory.
    cfg.CONF(args=[], default_config_files=[], default_config_dirs=[])

    def begin() -> None:
        manager.instantiate_apps(**manager.create_contexts())

    try:
        _attempt(", ".join(manager.applications_cls), begin)
    except OsKenUnusable:
        end(manager, [HostedApp(app) for app in manager.applications.values()], START_WITHIN_S)
        raise
    hosted = [HostedApp(app) for app in manager.applications.values()]
    return sorted(hosted, key=lambda each: each.app.name == _OPENFLOW_NAME)


def _attempt(app: str, work: Callable[[], Any]) -> None:
    try:
        in_daemon_thread(work, START_WITHIN_S)
    except NotInTime:
        raise OsKenUnusable(f"os-ken app {app} has not begun within {START_WITHIN_S:g} s", app) from None
    except (Exception, SystemExit) as problem:  # an app is anybody's code
        raise OsKenUnusable(
            f"os-ken app {app} cannot be begun ({type(problem).__name__}: {problem}): correct os_ken.apps in the "
            "configuration, or the app, or install what it needs",
            app,
        ) from problem


def end(manager: AppManager, hosted: Sequence[HostedApp], within_s: float) -> list[str]:
    """End all apps, side by side, and forget them; return the names of those that have not ended in time."""
    ends: list[tuple[str, Callable[[], object]]] = [(each.name, each.end) for each in hosted]
    ends += [
        (type(context).__module__, context.close)
        for context in manager.contexts.values()
        if hasattr(context, "close") and not isinstance(context, OSKenApp)
    ]
    ending = [(name, threading.Thread(target=_end, args=(name, work), daemon=True)) for name, work in ends]
    for _, thread in ending:
        thread.start()
    deadline = time.monotonic() + within_s
    for _, thread in ending:
        thread.join(max(0.0, deadline - time.monotonic()))
    for each in hosted:
        SERVICE_BRICKS.pop(each.app.name, None)
    _forget(manager)
    return [name for name, thread in ending if thread.is_alive()]


def _forget(manager: AppManager) -> None:
    for known in (manager.applications, manager.applications_cls, manager.contexts, manager.contexts_cls):
        known.clear()


def _end(name: str, work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:
        log.exception("os-ken app failed while it ended app=%s", name)
