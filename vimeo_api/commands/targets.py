"""The file that a command makes: it gets its name at once, complete and durable, or not at all.

The bytes are written under another name in the same folder. Sources: link(2), which refuses to overwrite; rename(2);
fsync(2) of the folder.
"""

import errno
import os
from pathlib import Path

import click

from vimeo_api.commands.endings import finish_undisturbed
from vimeo_api.core.storage.blobs import fsync_folder

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}  # what a filesystem without hard links says, link(2)


def settled(target: Path, name: str) -> Path:
    """Return the file that a DST means: itself, or of that name if it is a folder."""
    real = Path(os.path.realpath(target))
    return real / name if real.is_dir() else real


def check(target: Path, *, force: bool) -> None:
    """Raise ClickException if there is something that must not be replaced."""
    if os.path.lexists(target) and not (force and target.is_file()):
        why = "; --force replaces it" if target.is_file() else " and no regular file"
        raise click.ClickException(f"{target} is there already{why}.")


def publish(name: Path, target: Path, *, force: bool) -> None:
    """Give synced bytes their final name, which takes the other one away; signals are ignored from here on.

    Raises ClickException if the target has appeared meanwhile and is not to be replaced.
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
        force = True  # somebody has looked, which is all that can be done here
    if force:
        name.replace(target)
    fsync_folder(target.parent)
