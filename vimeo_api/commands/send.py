"""`vimeo-api send`: send files to a server and print a one-time link."""

from pathlib import Path
from typing import Any

import click

from vimeo_api.client import Client, ClientError
from vimeo_api.commands.endings import CODES, ending_cleanly
from vimeo_api.commands.progress import bar_from_first_byte


@click.command(epilog=CODES)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--server", metavar="URL", envvar="VIMEO_API_URL", required=True, help="The server.  [VIMEO_API_URL]")
@click.option("--password", "asks", is_flag=True, help="Ask for a password that protects the files.")
@click.option("--expires-in", metavar="TIME", help="How long the link works: seconds, or 7d, 12h, 30m.")
@click.option("--downloads", metavar="N", type=click.IntRange(1, 10_000), help="How often the link works.  [1]")
@click.option("--notify", metavar="URL", help="A URL that gets a webhook once the files were downloaded or are gone.")
# Hidden: on a command line, other users of the machine could read them.
@click.option("--api-token", "token", envvar="VIMEO_API_TOKEN", hidden=True)
@click.option("--file-password", "password", envvar="VIMEO_API_PASSWORD", hidden=True)
def send(
    files: tuple[Path, ...],
    *,
    server: str,
    asks: bool,
    expires_in: str | None,
    downloads: int | None,
    notify: str | None,
    token: str | None,
    password: str | None,
) -> None:
    """Send files to a server and print a link, which works once.

    Several files become one zip. VIMEO_API_TOKEN is the API token for servers that want one, VIMEO_API_PASSWORD a
    password for the files.
    """
    if asks:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    options: dict[str, Any] = {"expires_in": expires_in, "downloads": downloads, "notify": notify}
    with ending_cleanly():
        try:
            with bar_from_first_byte() as progress:
                sent = Client(server, token).send(*files, password=password, progress=progress, **options)
        except ClientError as error:
            raise click.ClickException(f"{', '.join(map(str, files))}: {error}") from None
        click.echo(sent.url)
        if sent.manage_url:
            click.echo(f"To follow or delete it: {sent.manage_url}", err=True)
