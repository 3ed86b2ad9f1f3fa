"""Which requests are the server's own page's."""

from __future__ import annotations

import socket

import pytest

from etui.web.access import is_loopback, is_own_host, is_own_origin, own_names


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8000", "localhost:9000", "LOCALHOST", "localhost.", "[::1]:8000", "10.0.0.3:8000", "bench.lan:1"],
)
def test_a_numeric_address_and_the_names_of_the_server_are_its_own(host: str) -> None:
    assert is_own_host(host, own_names("bench.lan"))


def test_the_host_name_of_the_machine_is_its_own() -> None:
    assert is_own_host(f"{socket.gethostname()}:8000", own_names("0.0.0.0"))


@pytest.mark.parametrize(
    "host",
    ["evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1", "a@evil.example", ":8000"],
)
def test_any_other_name_is_foreign(host: str) -> None:
    assert not is_own_host(host, own_names("127.0.0.1"))


@pytest.mark.parametrize(
    ("origin", "is_own"),
    [
        ("http://localhost:8000", True),
        ("https://localhost:8000", True),
        ("HTTP://LocalHost:8000", True),
        (None, False),
        ("null", False),
        ("", False),
        ("http://localhost", False),
        ("http://localhost:8001", False),
        ("http://evil.example:8000", False),
        ("http://localhost:8000.evil.example", False),
        ("http://localhost:8000@evil.example", False),
        ("file://localhost:8000", False),
        ("http://[", False),
    ],
)
def test_a_request_comes_from_a_page_of_the_same_host_and_port(origin: str | None, is_own: bool) -> None:
    assert is_own_origin(origin, "localhost:8000") is is_own


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("0.0.0.0", False), ("::", False)],
)
def test_only_loopback_addresses_are_private(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected
