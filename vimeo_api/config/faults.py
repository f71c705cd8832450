"""What the service cannot start with: a sentence for each setting that is missing, wrong or without effect.

`config.check` asks. A value that is wrong by itself is refused earlier, by its type (`values`).
"""

import importlib.util
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from vimeo_api.config import host_name
from vimeo_api.config.profiles import Production
from vimeo_api.config.settings import Settings
from vimeo_api.config.values import is_address

BROKERS = ("sqla+sqlite:///", "redis://", "rediss://", "redis+socket://", "memory://")


def of(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each fault of the settings on this host, and create the service's folders."""
    if not settings.database_url.startswith(("sqlite:///", "postgresql+psycopg://")):
        yield "DATABASE_URL must begin with sqlite:/// or postgresql+psycopg://."
    elif make_url(settings.database_url).database in {None, "", ":memory:"}:
        yield "DATABASE_URL must name a database, which several processes can use: a file or one of PostgreSQL."
    if not settings.broker_url.startswith(BROKERS):
        yield f"BROKER_URL must begin with one of: {', '.join(BROKERS)}."
    if settings.cache_url and not settings.cache_url.startswith(("redis://", "rediss://", "unix://")):
        yield "CACHE_URL must begin with redis://, rediss:// or unix://."
    if len(settings.secret_key) < 32:  # noqa: PLR2004 -- RFC 2104 asks for a key as long as the hash, 32 bytes
        yield "SECRET_KEY needs at least 32 characters; `openssl rand -hex 32` makes one."
    if not settings.sealing_keys:
        yield "SEALING_KEYS needs a Fernet key; `openssl rand -base64 32 | tr +/ -_` makes one."
    yield from _of_object_store(settings)
    for folder in (settings.data_dir, settings.store_dir, settings.spool_dir):
        yield from _of_folder(folder)
    if isinstance(settings, Production):
        yield from _of_production(settings)


def _of_object_store(settings: Settings) -> Iterator[str]:
    if not settings.store_url and settings.store_endpoint:
        yield "STORE_ENDPOINT has no effect without STORE_URL, such as s3://bucket."
    if not settings.store_url and settings.place == "through":
        yield "PLACE=through has no effect without STORE_URL, such as s3://bucket."
    if settings.store_url and bool(settings.aws_access_key_id) != bool(settings.aws_secret_access_key):
        yield "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY need each other."
    if settings.store_url and bool(settings.aws_session_token) and not settings.aws_access_key_id:
        yield "AWS_SESSION_TOKEN has no effect without AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    if settings.store_url and not settings.store_path_style:
        yield from _of_bucket_in_host(settings)
    if settings.store_ca_file:
        yield from _of_ca_file(settings, settings.store_ca_file)
    if settings.store_kms_key and not settings.store_encryption.startswith("aws:kms"):
        yield "STORE_KMS_KEY has no effect without STORE_ENCRYPTION=aws:kms."


def _of_bucket_in_host(settings: Settings) -> Iterator[str]:
    if is_address(urlsplit(settings.store_endpoint).hostname or ""):
        yield "STORE_PATH_STYLE=0 puts the bucket before the name of a server, but STORE_ENDPOINT has an address."
    if not settings.store_endpoint and "." in settings.store_url.removeprefix("s3://").partition("/")[0]:
        yield "STORE_PATH_STYLE must be 1 for a bucket with a dot in its name: AWS has no certificate for its host."


def _of_ca_file(settings: Settings, path: str) -> Iterator[str]:
    if settings.store_endpoint.startswith("http://"):
        yield "STORE_CA_FILE has no effect with a STORE_ENDPOINT of http://."
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        yield f"STORE_CA_FILE: {path} contains no certificates in PEM."
    except OSError as error:
        yield f"STORE_CA_FILE: {path} cannot be read: {error.strerror}."


def _of_folder(folder: Path) -> Iterator[str]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        yield f"{folder} cannot be created: {error.strerror}."
        return
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        yield f"{folder} is not writable for this user."


def _of_production(settings: Production) -> Iterator[str]:
    if (kept := host_name.read(settings.data_dir)) != settings.host_name and host_name.is_kept(settings.data_dir):
        yield (
            f"HOST_NAME is {settings.host_name}, but what lies in DATA_DIR belongs to the host {kept}. Unset it; "
            f"or, once `manage.py hosts` shows nothing pending there, remove {settings.data_dir / host_name.FILE}."
        )
    if importlib.util.find_spec("psycopg") is None:
        yield "Production needs the packages of the extra `production`: pip install 'vimeo_api[production]'."
    if not settings.database_url.startswith("postgresql+psycopg://"):
        yield "DATABASE_URL must name a PostgreSQL database, such as postgresql+psycopg://vimeo_api@/vimeo_api."
    if not settings.broker_url.startswith(("redis://", "rediss://", "redis+socket://")):
        yield "BROKER_URL must name the Redis of Celery's broker, such as redis+socket:///run/redis-broker/redis.sock."
    if not settings.cache_url.startswith(("redis://", "rediss://", "unix://")):
        yield "CACHE_URL must name the Redis that caches 4XX responses, such as unix:///run/redis-cache/redis.sock."
    if settings.cache_url and _redis_server(settings.cache_url) == _redis_server(settings.broker_url):
        yield "CACHE_URL and BROKER_URL name the same Redis; the cache may forget anything, the broker nothing."
    if settings.journal is None or not os.access(settings.journal.parent, os.R_OK | os.X_OK, effective_ids=True):
        yield f"JOURNAL ({settings.journal}) must be in a folder that this user can read: nginx writes it, we read it."


def _redis_server(url: str) -> str:
    return url.split("://", 1)[-1].split("?", 1)[0].rstrip("/")
