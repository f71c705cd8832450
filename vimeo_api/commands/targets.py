"""The file that `copy` or `fetch` makes: it appears at once, complete and durable, or not at all.

The bytes are first written under another name in the same folder. Sources: link(2), which refuses to overwrite;
rename(2); fsync(2) of the folder.
"""

import errno
import os
from pathlib import Path

import click

from vimeo_api.commands.endings import finish_undisturbed
from vimeo_api.core.storage.folders import fsync_folder

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}  # from a filesystem without hard links, link(2)


def settled(target: Path, name: str) -> Path:
    """Return the file that DST means: itself, or `name` in it if it is a folder."""
    real = Path(os.path.realpath(target))
    return real / name if real.is_dir() else real


def check(target: Path, *, force: bool) -> None:
    """Raise ClickException if the target exists and must not be replaced."""
    if os.path.lexists(target) and not (force and target.is_file()):
        why = "; --force replaces it" if target.is_file() else " and is not a regular file"
        raise click.ClickException(f"{target} already exists{why}.")


def publish(name: Path, target: Path, *, force: bool) -> None:
    """Rename a synced file to its final name; signals are ignored from here on.

    Raises ClickException if the target has appeared meanwhile and must not be replaced.
    """
    finish_undisturbed()
    try:
        if not force:
            target.hardlink_to(name)
            name.unlink()
    except FileExistsError:
        raise click.ClickException(f"{target} has appeared meanwhile; --force replaces it.") from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        force = True  # the caller has checked the name, which is the best that can be done here
    if force:
        name.replace(target)
    fsync_folder(target.parent)
