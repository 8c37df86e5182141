"""Has a context of its own, as apps have that share something, and sees that it is let go of at the end."""

from typing import Any, Final

from os_ken.base.app_manager import OSKenApp


class Keeper:
    """Something that has to be closed."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        """Take that it is over."""
        self.closed = True


class Keeping(OSKenApp):  # type: ignore[misc]
    """Shares a Keeper."""

    _CONTEXTS: Final = {"keeper": Keeper}

    def __init__(self, *arguments: Any, keeper: Keeper, **contexts: Any) -> None:
        super().__init__(*arguments, **contexts)
        self.keeper = keeper
