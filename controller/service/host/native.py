"""os-ken's threads are threads: its hub is chosen before os-ken is imported, and eventlet is kept out.

Eventlet replaces the sockets and locks of the whole process, and gRPC does not survive that. Nothing here imports
os-ken.
"""

import os
import sys
from typing import Final

from controller.domain.refusals import Precondition

_HUB: Final = "OSKEN_HUB_TYPE"
_NATIVE: Final = "native"


class OsKenUnusable(Precondition):
    """The os-ken apps of the configuration cannot be run; the message names what to correct."""

    def __init__(self, message: str, app: str = "") -> None:
        super().__init__("OS_KEN_UNUSABLE", message, {"app": app} if app else {})


def choose_native_hub() -> None:
    """Have os-ken use threads. Call before anything of os-ken is imported.

    Raises:
        OsKenUnusable: The environment wants another hub, or eventlet is in this process already.
    """
    if os.environ.get(_HUB, _NATIVE) != _NATIVE:
        raise OsKenUnusable(
            f"{_HUB}={os.environ[_HUB]} in the environment: eventlet and gRPC do not share a process; unset {_HUB}"
        )
    os.environ[_HUB] = _NATIVE
    refuse_eventlet("")


def refuse_eventlet(app: str) -> None:
    """See that eventlet has not come into the process.

    Args:
        app: What was imported last, for the message; "" for nothing of os-ken.

    Raises:
        OsKenUnusable: It has.
    """
    if "eventlet" in sys.modules:
        who = f"os-ken app {app}" if app else "something in this process"
        raise OsKenUnusable(
            f"{who} imports eventlet, and eventlet and gRPC do not share a process: use os_ken.lib.hub, which runs on "
            "threads here, or leave the app out of os_ken.apps; a controller that runs has to be restarted then",
            app,
        )
