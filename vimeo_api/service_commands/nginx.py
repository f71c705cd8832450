"""`manage.py nginx-body-limit`: the line of nginx.conf that settings decide. `deploy/stack.py` calls `body_limit`."""

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
    """Return the directive that admits the largest file and the overhead of a multipart body."""
    return f"client_max_body_size {settings.vimeo.max_bytes + MULTIPART_OVERHEAD};"
