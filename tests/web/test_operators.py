"""Who may see the service from inside."""

import pytest
from flask import Flask

from tests.services import ROOT
from vimeo_api import config
from vimeo_api.app import create_app
from vimeo_api.web.hooks import operators


def allowed(app: Flask, peer: str, **headers: str) -> bool:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with app.test_request_context(environ_base={"REMOTE_ADDR": peer}, headers=named):
        return operators.is_operator()


def settled(app: Flask, networks: str) -> Flask:
    app.config["SETTINGS"] = app.config["SETTINGS"].model_copy(update={"metrics_from": networks})
    return app


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "unix:"])
def test_this_host_is_an_operator_by_default(app: Flask, peer: str) -> None:
    assert allowed(app, peer)


@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "", "unknown"])
def test_other_hosts_are_not_operators_by_default(app: Flask, peer: str) -> None:
    assert not allowed(app, peer)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_forwarded_requests_are_never_from_an_operator(app: Flask, header: str) -> None:
    assert not allowed(app, "127.0.0.1", **{header: "127.0.0.1"})
    assert not allowed(app, "10.0.0.1", **{header: "127.0.0.1"})


def test_the_setting_names_networks(app: Flask) -> None:
    settled(app, "10.1.0.0/16, 2001:db8::/32")
    peers = ["10.1.2.3", "2001:db8::5", "10.2.0.1", "127.0.0.1", "unix:"]
    assert [allowed(app, peer) for peer in peers] == [True, True, False, False, False]
    settled(app, "10.2.0.0/16, unix")
    assert [allowed(app, peer) for peer in peers] == [False, False, True, False, True]
    settled(app, "none")
    assert not any(allowed(app, peer) for peer in peers)


def test_an_invalid_network_stops_the_start() -> None:
    with pytest.raises(config.ConfigError, match="METRICS_FROM: "):
        config.load({"DATA_DIR": str(ROOT), "METRICS_FROM": "localhost"})


def test_the_refusal_of_details_is_not_cached(app: Flask) -> None:
    client = app.test_client()
    for _ in range(3):
        assert client.get("/metrics", environ_base={"REMOTE_ADDR": "10.0.0.1"}).status_code == 403
    assert client.get("/metrics", environ_base={"REMOTE_ADDR": "127.0.0.1"}).status_code == 200


def test_healthz_checks_nothing(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(config.load({"DATA_DIR": str(tmp_path)}))

    def touched(*_: object, **__: object) -> None:
        raise AssertionError("something was asked")

    for name in (
        "vimeo_api.extensions.cache.get_many",
        "vimeo_api.extensions.cache.get",
        "vimeo_api.extensions.cache.add",
    ):
        monkeypatch.setattr(name, touched)
    monkeypatch.setattr("vimeo_api.core.database.statements._execute", touched)
    answer = app.test_client().get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "alive"})
