"""`manage.py nginx-body-limit`, `nginx-origins` and `nginx-peers`: nginx follows the settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.services import ROOT
from vimeo_api import config
from vimeo_api.config.secret import peer_key
from vimeo_api.service_commands.nginx import nginx_peers, origins


def test_nginx_accepts_the_largest_file_with_a_form_around_it() -> None:
    environ = os.environ | {"PROFILE": "production", "VIMEO_MAX_BYTES": "3MiB"}
    command = [sys.executable, "manage.py", "nginx-body-limit"]
    said = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout
    assert said == f"client_max_body_size {4 * 1024**2};\n"


def test_nginx_knows_the_origins_as_browsers_write_them(tmp_path: Path) -> None:
    settings = config.load({"DATA_DIR": str(tmp_path), "CORS_ORIGINS": "https://App.example:443, http://[::1]:3000"})
    assert origins(settings).splitlines() == [
        '"http://[::1]:3000" "http://[::1]:3000";',
        '"https://app.example" "https://app.example";',
    ]
    assert not origins(settings.model_copy(update={"cors_origins": ""}))


def test_the_key_of_the_hosts_is_not_made_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROFILE", "production")
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    refused = CliRunner().invoke(nginx_peers)
    assert (refused.exit_code, "SECRET_KEY is not set" in refused.output) == (1, True)
    (tmp_path / "secret_key").write_text("of all hosts, of 32 characters and more\n")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    assert CliRunner().invoke(nginx_peers).output == f'"{peer_key("of all hosts, of 32 characters and more")}" 1;\n'
