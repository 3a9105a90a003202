"""Where a request comes from."""

import pytest
from starlette.requests import HTTPConnection

from parotid_brachy.lib.server.peers import is_from_this_machine


def connection(*headers, http_version="1.1", peer="127.0.0.1"):
    return HTTPConnection(
        {
            "type": "http",
            "http_version": http_version,
            "client": (peer, 50000),
            "headers": [(name, b"192.0.2.7") for name in headers],
        }
    )


def test_this_machines_own_clients_are_known():
    assert is_from_this_machine(connection())
    assert not is_from_this_machine(connection(peer="192.0.2.7"))


@pytest.mark.parametrize("header", [b"x-forwarded-for", b"forwarded", b"via", b"x-real-ip"])
def test_a_proxy_on_this_machine_is_known_by_its_header(header):
    assert not is_from_this_machine(connection(header))


def test_a_proxy_that_adds_nothing_is_known_by_its_protocol():
    assert not is_from_this_machine(connection(http_version="1.0"))
