"""A client of the surface `vimeo`, for programs: send files as one-time links, and download them.

    sent = Client("https://files.example.org", token).send("report.xls", password="hello world", expires_in="7d")
    Client("https://files.example.org").get(sent.url, "downloads/", password="hello world")

`session` talks to the server, `form` is the body of an upload, `partial_download` is what an interrupted download
leaves. Nothing here imports anything of the service. `commands.send` and `commands.get` are built on it.
"""

from vimeo_api.client.errors import (
    ClientError,
    Damaged,
    Exists,
    Gone,
    InUse,
    Locked,
    NotFound,
    PasswordRefused,
    Refused,
    Unreachable,
    Unreadable,
)
from vimeo_api.client.session import Client, Progress, Sent

__all__ = [
    "Client",
    "ClientError",
    "Damaged",
    "Exists",
    "Gone",
    "InUse",
    "Locked",
    "NotFound",
    "PasswordRefused",
    "Progress",
    "Refused",
    "Sent",
    "Unreachable",
    "Unreadable",
]
