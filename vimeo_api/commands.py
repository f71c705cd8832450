"""The operator's commands that need no settings, no database and no service; `cli` puts them into manage.py."""

import errno
import os
import re
import secrets
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from tqdm import tqdm

from vimeo_api.core.errors import StorageFull
from vimeo_api.core.storage import full_disk_is_said
from vimeo_api.core.writer import CHUNK, THREADS, Writer

_SHIFTS = {"": 0, "K": 10, "M": 20, "G": 30}
_LARGEST_CHUNK = 1024**3  # bytes; each thread has a buffer of that size
_MOST_THREADS = 64
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}  # what a filesystem without hard links says, link(2)

tqdm.monitor_interval = 0  # a thread that would outlive the bar


class _Size(click.ParamType[int]):
    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return a number of bytes, said as 65536, 64K or 1M."""
        said = re.fullmatch(r"([0-9]{1,10})([KMG]?)(?:i?B)?", str(value), re.IGNORECASE)
        size = int(said[1]) << _SHIFTS[said[2].upper()] if said else 0
        if not 1 <= size <= _LARGEST_CHUNK:
            self.fail(f"{value!r} is not a size from 1 to 1G, as 65536, 64K or 1M.", param, ctx)
        return size


@click.command()
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
    type=_Size(),
    default=CHUNK,
    help="How much a thread reads and writes at a time, as 65536, 64K or 1M.  [default: 1M]",
)
@click.option("--force", is_flag=True, help="Replace DST if it is there.")
def copy(source: Path, target: Path, threads: int, chunk: int, *, force: bool) -> None:
    """Copy the file SRC to DST, or into the folder DST, with several threads.

    DST appears at once, complete and durable, or not at all. On a terminal a bar shows the progress.
    """
    target = Path(os.path.realpath(target / source.name if target.is_dir() else target))
    if os.path.lexists(target) and not (force and target.is_file()):
        why = "; --force replaces it" if target.is_file() else " and no regular file"
        raise click.ClickException(f"{target} is there already{why}.")
    try:
        with _ending_cleanly(), _reading(source) as (opened, facts), _temporary(target, facts.st_mode) as (name, file):
            _write(opened, file, facts.st_size, threads=threads, chunk=chunk)
            if _fingerprint(os.fstat(opened)) != _fingerprint(facts):
                raise click.ClickException(f"{source} has changed while it was copied.")
            _publish(name, target, force=force)
    except FileExistsError:
        raise click.ClickException(f"{target} has appeared meanwhile; --force replaces it.") from None
    except StorageFull as error:
        raise click.ClickException(f"There is no room for {target}: {error}.") from None
    except OSError as error:
        raise click.ClickException(f"{source} cannot be copied to {target}: {error.strerror or error}.") from None


def _write(source: int, file: int, size: int, *, threads: int, chunk: int) -> None:
    with tqdm(
        total=size, unit="B", unit_scale=True, unit_divisor=1024, file=sys.stdout, disable=not sys.stdout.isatty()
    ) as bar:
        writer = Writer(file, size, progress=lambda written: bar.update(written - bar.n))
        writer.copy(source, size, threads=threads, chunk=chunk)
        bar.set_postfix_str("making it durable")
        with full_disk_is_said():
            os.fsync(file)
        bar.set_postfix_str("")


def _publish(name: Path, target: Path, *, force: bool) -> None:
    """Give the file its final name; without force a link refuses to overwrite what has appeared meanwhile."""
    try:
        if not force:
            target.hardlink_to(name)
            name.unlink()
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        force = True  # we have looked, which is all that can be done here
    if force:
        name.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _reading(path: Path) -> Iterator[tuple[int, os.stat_result]]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a named pipe would wait for its writer
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise click.ClickException(f"{path} is not a regular file.")
        yield descriptor, facts
    finally:
        os.close(descriptor)


@contextmanager
def _temporary(target: Path, mode: int) -> Iterator[tuple[Path, int]]:
    """Open a new file beside the target, with the mode of the source as the umask allows; remove it if it is left."""
    name, descriptor = target.with_name(f".copy-{secrets.token_hex(8)}"), -1
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode & 0o777)
        yield name, descriptor
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        name.unlink(missing_ok=True)


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end us as Ctrl-C does, so that nothing is left behind."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fingerprint(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_size, facts.st_mtime_ns
