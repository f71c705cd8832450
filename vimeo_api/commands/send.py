"""`vimeo-api send`: send files to a server and print a one-time link for each."""

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
@click.option("--expires-in", metavar="TIME", help="How long the links work: seconds, or 7d, 12h, 30m.")
@click.option("--downloads", metavar="N", type=click.IntRange(1, 10_000), help="How often each link works.  [1]")
@click.option("--notify", metavar="URL", help="A URL that the server tells what became of the files.")
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
    """Send files to a server and print a link for each, which works once.

    The links are printed in the order of the files, one a line. VIMEO_API_TOKEN is the API token for servers that want
    one, VIMEO_API_PASSWORD a password for the files.
    """
    if asks:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    client = Client(server, token)
    with ending_cleanly():
        for file in files:
            options: dict[str, Any] = {"expires_in": expires_in, "downloads": downloads, "notify": notify}
            _send(client, file, password=password, **options)


def _send(client: Client, file: Path, **options: Any) -> None:
    try:
        with bar_from_first_byte() as progress:
            sent = client.send(file, progress=progress, **options)
    except ClientError as error:
        raise click.ClickException(f"{file}: {error}") from None
    click.echo(sent.url)
    if sent.manage_url:
        click.echo(f"To see or end it: {sent.manage_url}", err=True)
