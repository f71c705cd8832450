"""Manage URLs, as surfaces hand them out; `views.manage` answers them."""

from datetime import UTC, datetime

from flask import url_for

HEADER = "X-Manage-Url"


def url(manage_key: str | None) -> str:
    """Return the manage URL with a key; every upload of a managed surface has one."""
    return url_for("manage.show", key=manage_key, _external=True)


def moment(at: datetime | None) -> str | None:
    """Return a moment as JSON shows it (RFC 3339), in whole seconds of UTC."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
