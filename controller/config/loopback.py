"""Which hosts are this machine's own loopback."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is loopback for sure; names but `localhost` are not."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
