"""`vimeo-api get`: download a link into a file, and resume it if it was interrupted."""

import sys
from pathlib import Path

import click

from vimeo_api.client import Client, ClientError, Exists, PasswordRefused
from vimeo_api.commands.endings import CODES, cannot_write, ending_cleanly
from vimeo_api.commands.progress import bar_from_first_byte

_TRIES = 3  # for the password


@click.command(epilog=CODES)
@click.argument("url", metavar="URL")
@click.argument("target", metavar="[DST]", type=click.Path(path_type=Path), default=".")
@click.option("--force", is_flag=True, help="Replace DST if it is there.")
# Hidden: on a command line, other users of the machine could read it.
@click.option("--file-password", "password", envvar="VIMEO_API_PASSWORD", hidden=True)
def get(url: str, target: Path, *, force: bool, password: str | None) -> None:
    """Download a link to DST, or into the folder DST under the file's own name.

    DST is the current folder by default. The file appears at once and complete. If the download is interrupted, what
    came stays in hidden files beside DST, and the same command resumes from it. A password is asked for if the file has
    one; VIMEO_API_PASSWORD answers without a question.
    """
    tries = _TRIES if password is None and sys.stdin.isatty() else 0
    with ending_cleanly():
        while not _got(url, target, password, force=force, may_ask=tries > 0):
            tries -= 1
            password = click.prompt("Password", hide_input=True, err=True)


def _got(url: str, target: Path, password: str | None, *, force: bool, may_ask: bool) -> bool:
    """Return whether the file is here, False if its password has to be asked for."""
    try:
        with bar_from_first_byte() as progress:
            Client(url).get(url, target, password=password, force=force, progress=progress)
    except PasswordRefused as error:
        if may_ask:
            return False
        raise click.ClickException(f"{error} VIMEO_API_PASSWORD may hold it.") from None
    except Exists as error:
        raise click.ClickException(f"{error} --force replaces it, if it is a file.") from None
    except ClientError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise cannot_write(target, error) from None
    return True
