"""The real service with all access control switched on, and requests to it."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask

from tests.groups import shared
from tests.production.parts import environ_of
from tests.services import ROOT, Service, running
from vimeo_api import config
from vimeo_api.app import create_app
from vimeo_api.core.access import api_tokens
from vimeo_api.extensions import db

MIB = 1024**2
ORIGIN = "https://pages.example"
SETTINGS = {
    "REQUIRE_TOKENS": "1",
    "TRUSTED_PROXIES": "1",
    "PASSWORD_LIMIT_ADDRESS": "3 per hour",
    "PASSWORD_LIMIT_FILE": "5 per hour",
    "STORE_UPLOAD_LIMIT": "2 per hour",
    "FETCH_LIMIT": "1 per hour",
    "FETCH_URLS": "1",
    "FETCH_ALLOW_PRIVATE": "1",
    "CORS_ORIGINS": f"{ORIGIN},https://other.example",
    "LOG_LEVEL": "DEBUG",
}
FORM: dict[str, Any] = {"files": {"file": ("report.xls", b"numbers")}}
PROTECTED: dict[str, Any] = {**FORM, "data": {"password": "sesame"}}


@dataclass
class Guarded:
    """The service, and an app of our own on its database."""

    service: Service
    app: Flask

    @property
    def url(self) -> str:
        return self.service.url

    def token(self, name: str, *scopes: str, quota: int | None = None) -> dict[str, str]:
        """Return the header of a new token."""
        with self.app.app_context():
            return {"Authorization": f"Bearer {api_tokens.create(name, scopes, quota=quota)}"}

    def environ(self) -> dict[str, str]:
        """Return the environment in which `manage.py` finds the service's database."""
        if self.service.profile == "production":
            return environ_of(self.service, "web")
        return {**os.environ, "DATA_DIR": str(self.service.data), "PROFILE": "embedded"}

    def manage(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `manage.py`."""
        command = [sys.executable, "manage.py", *words]
        return subprocess.run(command, cwd=ROOT, env=self.environ(), capture_output=True, text=True, check=False)


@contextmanager
def guarding(profile: str, data: Path) -> Iterator[Guarded]:
    """Run the service for the length of the block."""
    with running(profile, data, **SETTINGS) as service:
        postgresql = f"postgresql+psycopg:///vimeo_api?host={data / 'run'}&user=vimeo_api"
        places = {"DATABASE_URL": postgresql} if profile == "production" else {}
        app = create_app(config.load({"DATA_DIR": str(data), "PROFILE": "embedded", **places}))
        yield Guarded(service, app)
        with app.app_context():
            db.engine.dispose()


@pytest.fixture(scope="session")
def all_guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Guarded]]:
    """The guarded service in a profile, started when it is first asked for."""
    with shared(lambda profile: guarding(profile, tmp_path_factory.mktemp(f"guarded-{profile}") / "data")) as started:
        yield started


def call(method: str, url: str, **more: Any) -> requests.Response:
    return requests.request(method, url, timeout=60, allow_redirects=False, **more)


def answered(service: Service, request: bytes) -> bytes:
    """Send a request as it stands, and return the beginning of its answer."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(request)
        return connection.recv(4096)
