"""Which requests the server answers: those of its own page, under a name that no other web site can claim.

A browser lets any page open a websocket to any address, loopback included, but states the page's origin, which must be
the server's own. With DNS rebinding the origin of a foreign page matches, but then the ``Host`` header has the foreign
site's name; a numeric address cannot be rebound.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit


def own_names(host: str) -> frozenset[str]:
    """Return the names under which a server that listens on ``host`` may be addressed, apart from numeric addresses."""
    return frozenset(name.lower().rstrip(".") for name in ("localhost", host, socket.gethostname()))


def is_own_host(header: str, names: Collection[str]) -> bool:
    """Whether a ``Host`` header has a numeric address or one of the server's names. The port is not compared: it is
    another one at the near end of a tunnel."""
    try:
        name = urlsplit(f"//{header}").hostname
    except ValueError:
        return False
    return name is not None and (is_numeric(name) or name.rstrip(".") in names)


def is_own_origin(origin: str | None, host_header: str) -> bool:
    """Whether a request was made by a page of the same host and port. A browser always sends the origin of a
    websocket."""
    if origin is None:
        return False
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host_header.lower()


def is_numeric(host: str) -> bool:
    """Whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an IP address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
