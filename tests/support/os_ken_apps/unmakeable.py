"""Cannot be made."""

from typing import Any

from os_ken.base.app_manager import OSKenApp


class Unmakeable(OSKenApp):  # type: ignore[misc]
    """Fails as it begins."""

    def __init__(self, *arguments: Any, **contexts: Any) -> None:
        super().__init__(*arguments, **contexts)
        raise OSError("no such device")
