"""`manage.py doubts`: one-time files that may have been downloaded before a failure; their owner decides."""

import click
from flask.cli import with_appcontext

from vimeo_api.core.database.models import Status
from vimeo_api.core.files import catalog, leases, slot_leases
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.files.slots import Hold
from vimeo_api.service_commands.loading import APP, DatabaseGroup

MAX_ID = 2**63 - 1  # of a row


@click.group(cls=DatabaseGroup, context_settings={"obj": APP}, invoke_without_command=True)
@click.pass_context
def doubts(context: click.Context) -> None:
    """List the one-time files in doubt, or decide about one.

    They may have been downloaded while the journal lost lines: the disk was full, or the power was cut. The list has
    the id, when the download began, the bytes, and the name.
    """
    if context.invoked_subcommand is None:
        context.invoke(_list)


@click.command()
@with_appcontext
def _list() -> None:
    for entry in catalog.in_doubt():
        begun = "" if entry.leased_at is None else f"{entry.leased_at:%Y-%m-%d %H:%M:%S}"
        click.echo(f"{entry.id}\t{begun}\t{entry.size} bytes\t{entry.name}")


@doubts.command()
@click.argument("file_id", metavar="ID", type=click.IntRange(1, MAX_ID))
@with_appcontext
def release(file_id: int) -> None:
    """Make the file ID, or its downloads in doubt, available again; it may be downloaded once too often."""
    if not leases.release(_doubtful(file_id).id):
        raise click.ClickException("The file is no longer in doubt.")


@doubts.command()
@click.argument("file_id", metavar="ID", type=click.IntRange(1, MAX_ID))
@with_appcontext
def remove(file_id: int) -> None:
    """Remove the file ID, as if it had been downloaded; of a file for several downloads, count those in doubt."""
    file = _doubtful(file_id)
    if file.downloads > 1:
        slot_leases.decide(file_id, used=True)
    else:
        leases.use_up(file_id, file.lease_token or "", grace_seconds=0)


def _doubtful(file_id: int) -> Entry:
    entry = catalog.by_id(file_id)
    if entry is None or not (entry.status == Status.IN_DOUBT or slot_leases.of(entry).count(Hold.IN_DOUBT)):
        raise click.ClickException("No file with this id is in doubt.")
    return entry
