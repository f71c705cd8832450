"""Settings: every mistake stops the start with a clear message."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.services import ROOT
from vimeo_api import config
from vimeo_api.cli import cli
from vimeo_api.config import host_name
from vimeo_api.config.values import listed

PRODUCTION = {
    "PROFILE": "production",
    "SECRET_KEY": "s" * 32,
    "SEALING_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "DATABASE_URL": "postgresql+psycopg:///x",
    "BROKER_URL": "redis+socket:///run/broker.sock",
    "CACHE_URL": "unix:///run/cache.sock",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "journal").mkdir()
    return tmp_path


def fault(data: Path, **changes: str) -> str:
    with pytest.raises(config.ConfigError) as caught:
        config.check(config.load({**PRODUCTION, "DATA_DIR": str(data), **changes}))
    return str(caught.value)


def test_correct_production_settings_are_accepted(data: Path) -> None:
    settings = config.check(config.load({**PRODUCTION, "DATA_DIR": str(data)}))
    assert settings.behind_nginx
    assert settings.journal == data / "journal/deliveries.log"
    assert settings.store_dir.is_dir()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY needs at least 32 characters"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY needs at least 32 characters"),
        ({"DATABASE_URL": "sqlite:///x"}, "DATABASE_URL must name a PostgreSQL database"),
        ({"BROKER_URL": ""}, "BROKER_URL must name the Redis"),
        ({"CACHE_URL": "memory://"}, "CACHE_URL must name the Redis"),
        ({"CACHE_URL": "unix:///run/broker.sock"}, "name the same Redis"),
        ({"JOURNAL": "/nowhere/deliveries.log"}, "JOURNAL (/nowhere/deliveries.log)"),
        ({"STORE_DIR": "/proc/store"}, "/proc/store cannot be created"),
        ({"SEALING_KEYS": ""}, "SEALING_KEYS needs a Fernet key"),
        ({"SEALING_KEYS": "short"}, "SEALING_KEYS: "),
        ({"STORE_ALGORITHM": "rot13"}, "STORE_ALGORITHM: "),
        ({"STORE_ALGORITHM": "shake_128"}, "STORE_ALGORITHM: "),
        ({"PORT": "many"}, "PORT: "),
        ({"UPLOAD_DRAFT_VERSIONS": "3,8"}, "UPLOAD_DRAFT_VERSIONS: 3 is not a version from 5 on"),
        ({"UPLOAD_DRAFT_VERSIONS": ","}, "UPLOAD_DRAFT_VERSIONS: it needs at least one version"),
        ({"PORT": "70000"}, "PORT: "),
        ({"PROFILE": "staging"}, "PROFILE: "),
        ({"LEASE_SECONDS": "-5"}, "LEASE_SECONDS: it is not a duration such as 90, 90s, 30m, 12h or 7d."),
        ({"VIMEO_EXPIRES_SECONDS": "week"}, "VIMEO_EXPIRES_SECONDS: it is not a duration"),
        ({"VIMEO_EXPIRES_SECONDS": "99999999d"}, "VIMEO_EXPIRES_SECONDS: it is longer than 100 years."),
        ({"LEASE_SECONDS": "999999999999"}, "LEASE_SECONDS: it is longer than 100 years."),
        ({"FETCH_WAIT_SECONDS": "inf"}, "FETCH_WAIT_SECONDS: it is not a duration"),
        ({"NAMED_EXTENSIONS": "pdf,tar.gz"}, "NAMED_EXTENSIONS: tar.gz is not an extension such as pdf."),
        ({"NAMED_EXTENSIONS": "*.pdf"}, "NAMED_EXTENSIONS: *.pdf is not an extension such as pdf."),
        ({"NAMED_EXTENSIONS": ","}, "NAMED_EXTENSIONS: it needs at least one extension."),
        ({"CORS_ORIGINS": "example.org"}, "CORS_ORIGINS: example.org is not an origin such as https://example.org."),
        ({"CORS_ORIGINS": "https://example.org/"}, "CORS_ORIGINS: https://example.org/ is not an origin"),
        ({"CORS_ORIGINS": "https://exämple.org"}, "CORS_ORIGINS: https://exämple.org is not an origin"),
        ({"CORS_ORIGINS": "https://me@example.org"}, "CORS_ORIGINS: https://me@example.org is not an origin"),
        ({"CORS_ORIGINS": "https://example.org:x"}, "CORS_ORIGINS: https://example.org:x is not an origin"),
        ({"KEEP_FREE": "-5"}, "KEEP_FREE: "),
        ({"BROKER_URL": "amqp://h"}, "BROKER_URL must begin with one of"),
        ({"VIMEO_MAX_BYTES": "-1"}, "VIMEO_MAX_BYTES: "),
        ({"VIMEO_MAX_BYTES": "big"}, "VIMEO_MAX_BYTES: "),
        ({"LEASE_SECONDS": "0"}, "LEASE_SECONDS: "),
        ({"VIMEO_MAX_BYTES": "9" * 23}, "VIMEO_MAX_BYTES: Input should be less than"),
        ({"STORE_MAX_BYTES": "9" * 23}, "STORE_MAX_BYTES: Input should be less than"),
        ({"METRICS_FROM": "here"}, "METRICS_FROM: "),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT: "),
        ({"SECRETS_DIR": "/nowhere"}, "/nowhere cannot be used: No such file or directory."),
        ({"SECRETS_DIR": "/proc/version"}, "/proc/version cannot be used: Not a directory."),
    ],
)
def test_a_mistake_gets_a_clear_message(data: Path, changes: dict[str, str], sentence: str) -> None:
    assert sentence in fault(data, **changes)


def test_extensions_may_be_written_with_their_dots(tmp_path: Path) -> None:
    settings = config.load({"DATA_DIR": str(tmp_path), "NAMED_EXTENSIONS": ".PDF, txt"})
    assert settings.named.allowed_extensions == {"pdf", "txt"}


def test_origins_are_read_as_browsers_write_them(tmp_path: Path) -> None:
    asked = "https://Example.org:443, http://a.example:8080,http://[::1]:80"
    settings = config.load({"DATA_DIR": str(tmp_path), "CORS_ORIGINS": asked})
    assert listed(settings.cors_origins) == {"https://example.org", "http://a.example:8080", "http://[::1]"}


def test_a_message_contains_no_secret(data: Path) -> None:
    assert "hunter2" not in fault(data, SECRET_KEY="hunter2", DATABASE_URL="mysql://u:hunter2@h/d", PORT="hunter2")


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql+psycopg://u:hunter2@x@h/d"),
        ("DATABASE_URL", "postgresql+psycopg://u:p@h:hunter2/d"),
        ("DATABASE_URL", "hunter2"),
        ("BROKER_URL", "redis://:hunter2/x@h:6379/0"),
        ("BROKER_URL", "redis://:hunter2#x@h:6379/0"),
        ("CACHE_URL", "redis://:hunter2?x@h:6379/0"),
    ],
)
def test_an_address_that_would_be_misread_is_refused_before_its_password_turns_up_as_a_host(
    data: Path, name: str, url: str
) -> None:
    sentence = fault(data, **{name: url})
    assert sentence.startswith(f"{name}: ")
    assert "hunter2" not in sentence


def test_an_address_may_have_a_password(data: Path) -> None:
    url = "postgresql+psycopg://u:p%40s%2Fs%3F@h:5432/d"
    assert config.check(config.load({**PRODUCTION, "DATA_DIR": str(data), "DATABASE_URL": url})).database_url == url


def test_settings_may_come_from_files(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = data / "secrets"
    secrets.mkdir()
    (secrets / "secret_key").write_text("f" * 64 + "\n")
    (secrets / "DATABASE_URL").write_text("postgresql+psycopg://u:p@h/d\n")
    rest = {name: value for name, value in PRODUCTION.items() if name not in {"SECRET_KEY", "DATABASE_URL"}}
    settings = config.check(config.load({**rest, "DATA_DIR": str(data), "SECRETS_DIR": str(secrets)}))
    assert (settings.secret_key, settings.database_url) == ("f" * 64, "postgresql+psycopg://u:p@h/d")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(secrets))  # systemd.exec(5)
    assert config.load({**rest, "DATA_DIR": str(data)}).secret_key == "f" * 64
    assert config.load({**rest, "DATA_DIR": str(data), "SECRET_KEY": "e" * 64}).secret_key == "e" * 64


def test_a_setting_in_a_file_must_be_text(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_bytes(b"\xff" * 32)
    with pytest.raises(config.ConfigError, match="secret_key is not UTF-8"):
        config.load({"SECRETS_DIR": str(tmp_path)})


def test_embedded_takes_its_secrets_from_files_too(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("f" * 64)
    settings = config.load({"DATA_DIR": str(tmp_path / "data"), "SECRETS_DIR": str(tmp_path)})
    assert settings.secret_key == "f" * 64
    assert not (tmp_path / "data/secret.key").exists()


def test_embedded_generates_its_secret_once(tmp_path: Path) -> None:
    first = config.load({"DATA_DIR": str(tmp_path)})
    assert len(first.secret_key) == 64
    assert config.load({"DATA_DIR": str(tmp_path)}).secret_key == first.secret_key
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600


def test_a_setting_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("VIMEO_MAX_BYTES", "1MiB")
    monkeypatch.setenv("GRACE_SECONDS", "")
    settings = config.load()
    assert (settings.data_dir, settings.vimeo.max_bytes, settings.grace_seconds) == (tmp_path, 2**20, 30)


def test_a_surface_has_its_settings_in_one_object(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "store_algorithm").write_text("md5")
    monkeypatch.setenv("VIMEO_MAX_BYTES", "1MiB")
    monkeypatch.setenv("STREAMS_EXPIRES_SECONDS", "60")
    monkeypatch.setenv("STORE", "/srv/store")  # another program's variable, not ours
    overrides = {"DATA_DIR": str(data), "SECRETS_DIR": str(data), "VIMEO_MAX_BYTES": "2MiB", "NAMED_EXTENSIONS": "A, b"}
    settings = config.load(overrides)
    assert settings.vimeo.max_bytes == 2 * 2**20
    assert (settings.streams.expires_seconds, settings.transfer.expires_seconds) == (60, None)
    assert settings.store.algorithm == "md5"
    assert settings.store_dir == data / "store"
    assert settings.named.allowed_extensions == {"a", "b"}
    assert settings.surfaces["named"] is settings.named


def test_a_host_keeps_its_name(data: Path) -> None:
    assert config.load({**PRODUCTION, "DATA_DIR": str(data)}).host_name == socket.gethostname()
    host_name.keep(data, "web1")
    host_name.keep(data, "web2")  # only the first one counts
    assert config.check(config.load({**PRODUCTION, "DATA_DIR": str(data)})).host_name == "web1"
    assert "belongs to the host web1" in fault(data, HOST_NAME="web2")
    assert "HOST_NAME: the name of a host is" in fault(data, HOST_NAME="web/2")


def test_the_documentation_lists_every_setting() -> None:
    printed = CliRunner().invoke(cli, ["settings"]).output
    assert "## Surface `vimeo`" in printed
    page = (ROOT / "docs/settings.md").read_text()
    assert page.endswith(printed), "append what `python manage.py settings` prints to docs/settings.md"


def test_every_setting_has_a_description() -> None:
    rows = [row for _, rows in config.table() for row in rows]
    assert [row.name for row in rows if not row.description.endswith(".")] == []
    assert len({row.name for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("VIMEO_MAX_BYTE", "VIMEO_MAX_BYTES"),
        ("VIMEO_BYTES_MAX", "VIMEO_MAX_BYTES"),
        ("streams_expire_seconds", "STREAMS_EXPIRES_SECONDS"),
        ("PROFLE", "PROFILE"),
        ("REQUIRE_TOKEN", "REQUIRE_TOKENS"),
        ("DATABASE_URI", "DATABASE_URL"),
    ],
)
def test_a_misspelt_name_ends_the_start_with_the_nearest_right_one(
    data: Path, monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    monkeypatch.setenv(name, "hunter2")
    assert fault(data) == f"{name.upper()} is not a setting; did you mean {nearest}?"


OTHERS = ["HOST", "HOSTNAME", "AWS_PROFILE", "XDG_DATA_DIRS", "LOG_DIR", "CELERY_BROKER_URL", "JOURNAL_STREAM"]
OTHERS += ["STORE_SERVICE_HOST", "STORE_PORT", "STORE_PORT_80_TCP_ADDR", "VIMEO_API_SERVICE_PORT_HTTP"]  # Kubernetes
OTHERS += ["VIMEO_API_URL", "VIMEO_API_TOKEN", "VIMEO_API_PASSWORD"]  # of `send` and `get`


@pytest.mark.parametrize("name", OTHERS)
def test_what_other_programs_set_is_no_misspelt_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "x")
    assert config.load({"DATA_DIR": str(tmp_path)}).profile == "embedded"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"PROFILE": "prod"}, "PROFILE: Input should be 'embedded' or 'production'."),
        ({"BIND": "x..y"}, "BIND: x..y is neither an address nor a host name."),
        ({"PORT": "-5"}, "PORT: Input should be greater than or equal to 0."),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL must begin with sqlite:/// or postgresql+psycopg://."),
        ({"CACHE_URL": "memcached://x"}, "CACHE_URL must begin with redis://, rediss:// or unix://."),
    ],
)
def test_a_wrong_value_gets_one_sentence(tmp_path: Path, changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.check(config.load({"DATA_DIR": str(tmp_path), **changes}))
    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", [row.name for _, rows in config.table() for row in rows if "_SECONDS" in row.name])
def test_a_duration_may_have_a_unit(tmp_path: Path, name: str) -> None:
    surface, _, rest = name.lower().partition("_")
    for text, seconds in (("15", 15), ("15s", 15), ("15m", 900), ("15h", 54_000), ("7d", 604_800)):
        if name == "DATABASE_SECONDS" and seconds > 20:
            continue
        settings = config.load({"DATA_DIR": str(tmp_path), name: text})
        found = getattr(settings.surfaces.get(surface), rest, None) or getattr(settings, name.lower())
        assert found == seconds
