"""`manage.py uploads`: list unfinished resumable uploads and end them, directly in the database."""

import click
from flask.cli import with_appcontext

from vimeo_api.core.resumable import expiry, rows
from vimeo_api.service_commands.loading import APP, DatabaseGroup


@click.group(cls=DatabaseGroup, context_settings={"obj": APP})
def uploads() -> None:
    """List unfinished resumable uploads, and end them."""


@uploads.command("list")
@with_appcontext
def list_() -> None:
    """List them, the oldest first: key, surface, bytes so far and in all, when they expire, name.

    Where partial uploads are to be joined, the last column says `joining`, or why that failed.
    """
    for upload in rows.listing():
        length = "?" if upload.length is None else upload.length
        expiry_ = f"{upload.expires_at:%Y-%m-%d %H:%M}" if upload.expires_at else ""
        line = f"{upload.key}\t{upload.surface}\t{upload.offset} of {length} bytes\t{expiry_}\t{upload.name}"
        click.echo(line + ("\tjoining" if upload.is_joining else f"\t{upload.failure}" if upload.failure else ""))


@uploads.command()
@click.argument("key")
@with_appcontext
def end(key: str) -> None:
    """End an upload and remove its bytes."""
    if not expiry.remove(key):
        raise click.ClickException("There is no such upload.")
