"""`manage.py nginx-body-limit`: what nginx must know of the settings. `deploy/stack.py` writes the same line."""

import click

from vimeo_api import config
from vimeo_api.config.settings import MULTIPART_OVERHEAD, Settings


@click.command("nginx-body-limit")
def nginx_body_limit() -> None:
    """Print nginx's limit for uploads, made from VIMEO_MAX_BYTES."""
    try:
        click.echo(body_limit(config.load()))
    except config.ConfigError as error:
        raise click.ClickException(str(error)) from None


def body_limit(settings: Settings) -> str:
    """Return the directive that lets in the largest file, and what a multipart body may hold beside it."""
    return f"client_max_body_size {settings.vimeo.max_bytes + MULTIPART_OVERHEAD};"
