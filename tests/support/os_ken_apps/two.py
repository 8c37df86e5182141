"""Two apps in one module, of which os-ken would run one and say nothing."""

from os_ken.base.app_manager import OSKenApp


class First(OSKenApp):  # type: ignore[misc]
    """One."""


class Second(OSKenApp):  # type: ignore[misc]
    """Another."""
