"""How an operator names a file: by its id, its link, or the file id of `transfer`. Commands about files use it."""

from collections.abc import Iterator

import click
from flask import current_app, request

from vimeo_api import views
from vimeo_api.core.access import sealed_ids
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import Entry

_MAX_DIGITS = 18  # of an id


def entry(which: str) -> Entry:
    """Return the file with an id, or behind a link or the file id of `transfer`. Raises ClickException."""
    if which.isascii() and which.isdigit() and len(which) <= _MAX_DIGITS:
        found = catalog.by_id(int(which))
    else:
        found = next((file for place in _places(which) if (file := catalog.find(*place))), None)
    if found is None:
        raise click.ClickException(f"There is no file {which}.")
    return found


def _places(link: str) -> Iterator[tuple[str, str]]:
    """Yield surface and key of the file behind a link."""
    try:
        context = current_app.test_request_context(link)
    except ValueError:  # a malformed URL
        return
    with context:
        surface = views.owner(request.path)
        key = surface.key_of(request) if surface else ""
        sealed = request.args.get("file_id") or (request.view_args or {}).get("file_id") or link
    if surface is not None and key:
        yield surface.name, key
    elif opened := sealed_ids.open_sealed(sealed):
        yield "transfer", opened[0]
