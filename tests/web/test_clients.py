"""Who a request is counted for."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.test import create_environ

from vimeo_api.web import clients
from vimeo_api.web.proxies import Forwarded


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_all_addresses_that_a_client_can_choose_from_are_one(app: Flask, address: str, client: str) -> None:
    with app.test_request_context(environ_base={"REMOTE_ADDR": address}):
        assert clients.client() == client


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:50123", "192.0.2.7"),
        ("[2001:db8:1:2::9]:50123", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
    ],
)
def test_the_port_that_a_proxy_adds_makes_no_other_client(app: Flask, forwarded: str, client: str) -> None:
    seen: list[str] = []

    def note(environ: dict[str, Any], _start: Any) -> list[bytes]:
        with app.request_context(environ):
            seen.append(clients.client())
        return []

    Forwarded(note, 1, frozenset({"for"}))(create_environ(headers={"X-Forwarded-For": forwarded}), lambda *_: None)  # type: ignore[arg-type]
    assert seen == [client]
