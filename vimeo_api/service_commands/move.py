"""`manage.py move`: move stored files between STORE_DIR and the object store, while the service runs."""

import time
from collections.abc import Iterator

import click

from vimeo_api.core.errors import PipelineError, StorageFull, Unavailable
from vimeo_api.core.files import moving
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.files.placing import MIN_GRACE_SECONDS
from vimeo_api.core.storage import filesystem, object_store
from vimeo_api.core.storage.stores import Store
from vimeo_api.extensions import blobs
from vimeo_api.service_commands.loading import DatabaseCommand, load_existing

BATCH = 100  # files, whose old copies are removed together once nobody opens them any more


@click.command(cls=DatabaseCommand)
@click.option(
    "--to",
    "name",
    type=click.Choice([filesystem.NAME, object_store.NAME]),
    required=True,
    help="Where the files are to be: STORE_DIR, or the bucket of STORE_URL.",
)
@click.pass_context
def move(context: click.Context, *, name: str) -> None:
    """Move stored files to STORE_DIR or to the object store; safe while the service runs.

    Each is compared with its digest before it is served from there. To resume a move that was stopped, run it again.
    Exits with 1 if a file could not be moved.
    """
    moved = failed = 0
    with load_existing().app_context():
        try:
            target = blobs.filesystem if name == filesystem.NAME else blobs.objects
            for batch in _batches(target):
                done, faults = _move(batch, target)
                moved, failed = moved + done, failed + faults
                click.echo(f"{moved} files moved")
        except (Unavailable, StorageFull) as error:
            raise click.ClickException(f"{error} Run it again to resume; {moved} files moved.") from None
    click.echo(f"done: {moved} moved, {failed} failed")
    context.exit(1 if failed else 0)


def _batches(target: Store) -> Iterator[list[Entry]]:
    last = 0
    while batch := moving.left(target, after=last, limit=BATCH):
        yield batch
        last = batch[-1].id


def _move(batch: list[Entry], target: Store) -> tuple[int, int]:
    """Move files and remove their old copies; return how many were moved, and how many could not be."""
    moved, failed = [], 0
    try:
        for entry in batch:
            try:
                if moving.move(entry, target):
                    moved.append(entry)
            except (Unavailable, StorageFull):
                raise
            except (PipelineError, OSError) as error:
                failed += 1
                click.echo(f"file {entry.id} stays where it is: {error or 'its bytes are missing'}", err=True)
    finally:
        if moved:
            time.sleep(MIN_GRACE_SECONDS)  # for those who were just sent to the old copies
            moving.remove_old(moved)
    return len(moved), failed
