"""`manage.py nginx-body-limit`, `-origins`, `-peers` and `-objects`: the lines of nginx's site that settings decide.

`deploy/stack.py` calls `body_limit`, `origins`, `peer_key` and `objects_upstream`.
"""

from urllib.parse import urlsplit

import click

from vimeo_api import config
from vimeo_api.config import secret
from vimeo_api.config.settings import MULTIPART_OVERHEAD, Settings
from vimeo_api.extensions import bucket
from vimeo_api.web.sending.delivery import OBJECTS


@click.command("nginx-body-limit")
def nginx_body_limit() -> None:
    """Print nginx's limit for uploads, made from VIMEO_MAX_BYTES."""
    click.echo(body_limit(_settings()))


def body_limit(settings: Settings) -> str:
    """Return the directive that admits the largest file and the overhead of a multipart body."""
    return f"client_max_body_size {settings.vimeo.max_bytes + MULTIPART_OVERHEAD};"


@click.command("nginx-origins")
def nginx_origins() -> None:
    """Print the sites whose pages may read nginx's own errors, made from CORS_ORIGINS."""
    click.echo(origins(_settings()), nl=False)


def origins(settings: Settings) -> str:
    """Return the lines of a map that lets pages of other sites read nginx's own errors."""
    named = sorted(filter(None, settings.cors_origins.split(",")))
    return "".join(f'"{origin}" "{origin}";\n' for origin in named)


@click.command("nginx-peers")
def nginx_peers() -> None:
    """Print the key by which nginx knows the other hosts, made from SECRET_KEY."""
    settings = _settings()
    if not settings.secret_key:  # from nothing, everybody could make this key
        raise click.ClickException(
            "SECRET_KEY is not set. If it is a file, SECRETS_DIR names the folder, such as /etc/vimeo_api/secrets."
        )
    click.echo(peer_key(settings))


def peer_key(settings: Settings) -> str:
    """Return the line of a map that lets the other hosts in."""
    return f'"{secret.peer_key(settings.secret_key)}" 1;'


@click.command("nginx-objects")
def nginx_objects() -> None:
    """Print how nginx reaches the object store, made from STORE_URL and STORE_ENDPOINT."""
    settings = _settings()
    if not settings.store_url:
        raise click.ClickException("STORE_URL is not set.")
    click.echo(objects_upstream(settings), nl=False)


def objects_upstream(settings: Settings) -> str:
    """Return the directives by which nginx reaches the object store."""
    origin = urlsplit(bucket(settings).origin)
    port = "" if origin.port else {"http": ":80", "https": ":443"}[origin.scheme]
    lines = [
        f"upstream {OBJECTS} {{",
        f"    server {origin.netloc}{port} max_fails=0;",
        "    keepalive 64;",
        "}",
        'map "" $vimeo_api_apart {',
        "    default $vimeo_api_conditional;",
        "}",
    ]
    if origin.scheme == "https":
        lines += [
            "proxy_ssl_server_name on;",
            f"proxy_ssl_name {origin.hostname};",
            "proxy_ssl_verify on;",
            "proxy_ssl_verify_depth 3;",
            f"proxy_ssl_trusted_certificate {settings.store_ca_file or '/etc/ssl/certs/ca-certificates.crt'};",
        ]
    return "\n".join(lines) + "\n"


def _settings() -> Settings:
    """Return the settings. Raises ClickException for mistakes in them."""
    try:
        return config.load()
    except config.ConfigError as error:
        raise click.ClickException(str(error)) from None
