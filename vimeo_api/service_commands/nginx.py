"""`manage.py nginx-body-limit` and `nginx-peers`: the lines of nginx's site that settings decide.

`deploy/stack.py` calls `body_limit` and `peer_key`.
"""

import click

from vimeo_api import config
from vimeo_api.config import secret
from vimeo_api.config.settings import MULTIPART_OVERHEAD, Settings


@click.command("nginx-body-limit")
def nginx_body_limit() -> None:
    """Print nginx's limit for uploads, made from VIMEO_MAX_BYTES."""
    try:
        click.echo(body_limit(config.load()))
    except config.ConfigError as error:
        raise click.ClickException(str(error)) from None


def body_limit(settings: Settings) -> str:
    """Return the directive that admits the largest file and the overhead of a multipart body."""
    return f"client_max_body_size {settings.vimeo.max_bytes + MULTIPART_OVERHEAD};"


@click.command("nginx-peers")
def nginx_peers() -> None:
    """Print the key by which nginx knows the other hosts, made from SECRET_KEY."""
    try:
        click.echo(peer_key(config.load()))
    except config.ConfigError as error:
        raise click.ClickException(str(error)) from None


def peer_key(settings: Settings) -> str:
    """Return the line of a map that lets the other hosts in."""
    return f'"{secret.peer_key(settings.secret_key)}" 1;'
