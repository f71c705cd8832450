"""`manage.py copy`: copy a file with several threads."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from vimeo_api.commands import targets
from vimeo_api.commands.endings import CODES, ending_cleanly
from vimeo_api.commands.progress import bar
from vimeo_api.commands.sizes import Size
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.storage.folders import raising_storage_full
from vimeo_api.core.storage.writer import CHUNK, THREADS, Writer

_MOST_THREADS = 64


@click.command(epilog=CODES)
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.argument("target", metavar="DST", type=click.Path(path_type=Path))
@click.option(
    "--threads",
    metavar="N",
    type=click.IntRange(1, _MOST_THREADS),
    default=THREADS,
    help="How many threads copy.  [default: one for each core]",
)
@click.option(
    "--chunk",
    metavar="SIZE",
    type=Size("1G"),  # each thread has a buffer of this size
    default=CHUNK,
    help="How much a thread reads and writes at a time, such as 65536, 64K or 1M.  [default: 1M]",
)
@click.option("--force", is_flag=True, help="Replace DST if it is there.")
def copy(source: Path, target: Path, threads: int, chunk: int, *, force: bool) -> None:
    """Copy the file SRC to DST, or into the folder DST, with several threads.

    DST appears at once, complete and durable, or not at all. On a terminal a bar shows the progress.
    """
    target = targets.settled(target, source.name)
    targets.check(target, force=force)
    try:
        with ending_cleanly(), _reading(source) as (opened, facts), _temporary(target, facts.st_mode) as (name, file):
            _write(opened, file, facts.st_size, threads=threads, chunk=chunk)
            if _fingerprint(os.fstat(opened)) != _fingerprint(facts):
                raise click.ClickException(f"{source} changed while it was being copied.")
            targets.publish(name, target, force=force)
    except StorageFull as error:
        raise click.ClickException(f"There is no room for {target}: {error}.") from None
    except OSError as error:
        raise click.ClickException(f"{source} cannot be copied to {target}: {error.strerror or error}.") from None


def _write(source: int, file: int, size: int, *, threads: int, chunk: int) -> None:
    with bar(size) as shown:
        writer = Writer(file, size, progress=lambda written: shown.update(written - shown.n))
        writer.copy(source, size, threads=threads, chunk=chunk)
        shown.set_postfix_str("making it durable")
        with raising_storage_full():
            os.fsync(file)
        shown.set_postfix_str("")


@contextmanager
def _reading(path: Path) -> Iterator[tuple[int, os.stat_result]]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # else a named pipe waits for a writer
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise click.ClickException(f"{path} is not a regular file.")
        yield descriptor, facts
    finally:
        os.close(descriptor)


@contextmanager
def _temporary(target: Path, mode: int) -> Iterator[tuple[Path, int]]:
    """Open a new file beside the target, with the source's mode less the umask; remove it if it is left behind."""
    name, descriptor = target.with_name(f".copy-{secrets.token_hex(8)}"), -1
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode & 0o777)
        yield name, descriptor
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        name.unlink(missing_ok=True)


def _fingerprint(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_size, facts.st_mtime_ns
