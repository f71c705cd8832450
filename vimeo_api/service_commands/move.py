"""`manage.py move`: move stored files between STORE_DIR and the object store, while the service runs."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import click

from vimeo_api.core.errors import StorageFull, Unavailable
from vimeo_api.core.files import moving
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.files.moving import Failure
from vimeo_api.core.files.placing import MIN_GRACE_SECONDS
from vimeo_api.core.storage import filesystem, object_store
from vimeo_api.core.storage.stores import Store
from vimeo_api.extensions import blobs
from vimeo_api.service_commands.loading import DatabaseCommand, load_existing


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
        if name not in blobs.stores:
            raise click.ClickException("STORE_URL is not set.")
        target = blobs.stores[name]
        try:
            with _old_copies() as old:
                for batch in _batches(target):
                    done, failures = moving.move(batch, target)
                    old.add(done)
                    moved, failed = moved + len(done), failed + len(failures)
                    for failure in failures:
                        _report(failure)
                    click.echo(f"{moved} files moved")
                    old.remove()
        except (Unavailable, StorageFull) as error:
            raise click.ClickException(
                f"{str(error).removesuffix('.')}. Run it again to resume; {moved} files moved."
            ) from None
    click.echo(f"done: {moved} moved, {failed} failed")
    context.exit(1 if failed else 0)


def _batches(target: Store) -> Iterator[list[Entry]]:
    last = 0
    while batch := moving.batch(target, after=last):
        yield batch
        last = batch[-1].id


def _report(failure: Failure) -> None:
    """Say why a file was not moved. Raises what would keep all others from being moved, too."""
    if isinstance(failure.error, Unavailable | StorageFull):
        raise failure.error
    click.echo(f"file {failure.entry.id} stays where it is: {str(failure.error) or 'its bytes are missing'}", err=True)


class _OldCopies:
    """The copies that moved files have left. Each stays a while: a client that was just sent to one still opens it."""

    def __init__(self) -> None:
        self._left: deque[tuple[float, list[Entry]]] = deque()  # with the moment from which on they may go

    def add(self, moved: list[Entry]) -> None:
        self._left.append((time.monotonic() + MIN_GRACE_SECONDS, moved))

    def remove(self) -> None:
        """Remove what has stayed long enough."""
        while self._left and self._left[0][0] <= time.monotonic():
            moving.remove_old(self._left.popleft()[1])

    def remove_all(self) -> None:
        """Remove all, once they have stayed long enough."""
        while self._left:
            time.sleep(max(0, self._left[0][0] - time.monotonic()))
            self.remove()


@contextmanager
def _old_copies() -> Iterator[_OldCopies]:
    """Remove at the end of the block what moved files have left."""
    old = _OldCopies()
    try:
        yield old
    finally:
        old.remove_all()
