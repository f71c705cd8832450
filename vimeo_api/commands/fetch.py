"""`manage.py fetch`: fetch a URL into a file with `core.fetching.client`, over several connections.

Private addresses are allowed unless --public-only is given: the guard keeps clients from making a service fetch what
only the service can reach, but a user of this command can reach those addresses anyway. Addresses that never serve
files, such as the link-local ones where clouds keep secrets, stay refused.
No message and no progress bar shows the URL, as its query may be a secret.
"""

import hashlib
import math
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from vimeo_api.commands import targets
from vimeo_api.commands.endings import CODES, cannot_write, ending_cleanly
from vimeo_api.commands.progress import Bar, bar
from vimeo_api.commands.sizes import Size
from vimeo_api.core.errors import DigestMismatch, PipelineError, StorageFull
from vimeo_api.core.fetching import client
from vimeo_api.core.fetching.client import CONNECTIONS, Fetched, Limits
from vimeo_api.core.fetching.partial_file import Busy, ResumableFile

_MODE = 0o666  # as the umask allows
_SHOWN_NAME = 24  # characters beside the bar


class _Sha256(click.ParamType[str]):
    name = "sha256"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", str(value), re.ASCII):
            self.fail("A SHA-256 has 64 hexadecimal digits.", param, ctx)
        return str(value).lower()


@click.command(epilog=CODES, context_settings={"allow_extra_args": True})
@click.argument("url", metavar="URL")
@click.argument("target", metavar="[DST]", type=click.Path(path_type=Path), default=".")
@click.option(
    "--connections",
    metavar="N",
    type=click.IntRange(1, Limits().per_host),
    default=CONNECTIONS,
    show_default=True,
    help="How many ranges to fetch at the same time, if the origin supports ranges.",
)
@click.option("--sha256", metavar="HEX", type=_Sha256(), help="Keep the file only if this is its SHA-256.")
@click.option("--max-bytes", metavar="SIZE", type=Size("1024T"), help="Largest file to take, such as 65536, 64K or 1M.")
@click.option(
    "--max-time",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=math.inf,
    help="Give up after this time.  [default: never, while bytes come]",
)
@click.option(
    "--allow-private/--public-only",
    default=True,
    help="Whether to fetch from private and loopback addresses. Allowed by default, as you can reach them anyway; use "
    "--public-only for URLs that come from somebody else.",
)
@click.option(
    "--continue",
    "resumable",
    is_flag=True,
    help="If the fetch is interrupted, keep what has come in a hidden file beside DST, and resume from it next time.",
)
@click.option("--force", is_flag=True, help="Replace DST if it is there.")
def fetch(
    url: str,
    target: Path,
    *,
    connections: int,
    sha256: str | None,
    max_bytes: int | None,
    max_time: float,
    allow_private: bool,
    resumable: bool,
    force: bool,
) -> None:
    """Fetch a URL to DST, or into the folder DST under the name that the origin suggests.

    DST is the current folder by default. The file appears at once, complete and durable, or not at all. On a
    terminal a bar shows the progress.
    """
    _check_usage(target)
    folder = targets.settled(target, "any").parent
    try:
        with ending_cleanly(), bar() as shown, _download(url, folder, resumable=resumable) as download:
            sink = _Sink(download, target, shown, force=force, resumable=resumable)
            fetched = client.fetch(
                url,
                sink,
                limits=Limits(max_bytes=max_bytes, total=max_time),
                allow_private=allow_private,
                connections=connections,
                progress=sink.progress,
                resume=download.version,
                checked=sha256 is not None,
            )
            _finish(download, _file(target, fetched), shown, sha256=sha256, force=force)
    except Busy:
        raise click.ClickException("Another process is fetching this URL into this folder.") from None
    except StorageFull as error:
        raise click.ClickException(f"There is no room in {folder}: {error}.") from None
    except PipelineError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise cannot_write(folder, error) from None


def _check_usage(target: Path) -> None:
    """Raise UsageError, without quoting an argument: it may be a URL with a password."""
    if click.get_current_context().args:
        raise click.UsageError("fetch takes one URL and one DST.")
    if target.parts[:1] in {("http:",), ("https:",)}:
        raise click.UsageError("DST is a file or a folder, not a URL.")


def _file(target: Path, fetched: Fetched) -> Path:
    # A name from the origin must not become a dot file such as .bashrc.
    return targets.settled(target, re.sub(r"^\.", "_", fetched.name))


@contextmanager
def _download(url: str, folder: Path, *, resumable: bool) -> Iterator[ResumableFile]:
    """Open the file for the bytes; remove it at the end unless the fetch can be resumed."""
    kept = resumable
    name = hashlib.sha256(os.fsencode(url)).hexdigest()[:16] if resumable else secrets.token_hex(8)
    path = folder / f".fetch-{name}"
    try:
        with ResumableFile(path, mode=_MODE) as download:
            try:
                yield download
                kept = False
            except BaseException as error:
                kept = resumable and not isinstance(error, DigestMismatch) and _is_resumable(download)
                if kept:
                    download.note()
                raise
    finally:
        if not kept:
            for left in folder.glob(f"{path.name}*"):
                left.unlink(missing_ok=True)


def _is_resumable(download: ResumableFile) -> bool:
    return bool(download.version and download.version.validator and download.spans())


class _Sink:
    """Writes the file and updates the bar; before the first byte it checks that the name is free."""

    def __init__(self, download: ResumableFile, target: Path, shown: Bar, *, force: bool, resumable: bool) -> None:
        self._download = download
        self._target = target
        self._shown = shown
        self._force = force
        self._resumable = resumable
        self.spans = download.spans
        self.write_at = download.write_at

    def begin(self, offer: Fetched, *, resumed: bool) -> None:
        file = _file(self._target, offer)
        targets.check(file, force=self._force)
        self._download.begin(offer, resumed=resumed)
        self._shown.set_description_str(file.name[:_SHOWN_NAME], refresh=False)
        self._shown.reset()
        self._shown.total = offer.version.size
        self._shown.initial = self._shown.n = sum(end - start for start, end in self.spans())

    def progress(self, received: int, _total: int | None) -> None:
        self._shown.update(received - self._shown.n)
        if self._resumable:
            self._download.checkpoint()


def _finish(download: ResumableFile, file: Path, shown: Bar, *, sha256: str | None, force: bool) -> None:
    with download.staging() as staging:
        if sha256 is not None:
            shown.set_postfix_str("checking")
            if staging.digest("sha256") != sha256:
                raise DigestMismatch("The file has a different SHA-256.")
        shown.set_postfix_str("making it durable")
        staging.sync()
        shown.set_postfix_str("")
    targets.check(file, force=force)
    targets.publish(download.path, file, force=force)
