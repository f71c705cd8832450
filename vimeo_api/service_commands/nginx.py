"""`manage.py nginx-body-limit` and `nginx-peers`: the lines of nginx's site that settings decide.

`deploy/stack.py` calls `body_limit` and `peers_listen`.
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
    """Print where nginx gives this host's pending files to the other hosts, and the key that they need."""
    try:
        settings = config.load()
    except config.ConfigError as error:
        raise click.ClickException(str(error)) from None
    if not settings.peer_address:
        raise click.ClickException("PEER_ADDRESS is not set.")
    click.echo(peers_listen(settings), nl=False)


def peers_listen(settings: Settings) -> str:
    """Return the directives by which nginx listens for the other hosts, and lets in those that know the key."""
    key = secret.peer_key(settings.secret_key)
    return f'listen {settings.peer_address};\nif ($http_x_spool_key != "{key}") {{\n    return 403;\n}}\n'
