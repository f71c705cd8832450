"""What a dialect is to the rest: a name, the paths it owns, its routes, and how it words a problem. Views make them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import Blueprint, Request, Response

from vimeo_api.core.files.storing import Uploaded
from vimeo_api.core.policy import Policy
from vimeo_api.web.problems import Problem

RAW = frozenset[str]()  # nothing is parsed
FORM = frozenset({"multipart/form-data"})
SurfaceOf = Callable[[str], "Surface | None"]  # names the surface that owns a path


def _key_of_route(request: Request) -> str:
    return str((request.view_args or {}).get("key", ""))


@dataclass(frozen=True, slots=True)
class Resumable:
    """What a dialect says about resumable uploads to it; `views.uploads` does the rest."""

    policy: Policy
    answer: Callable[[Uploaded], Response]  # what an upload answers, given the new file
    # The endpoints of its own whose body may be sent in parts, and the media types of what they parse, which may not.
    targets: Mapping[str, frozenset[str]]
    expires: bool = True  # whether a client may set `expires_in`
    queue: Callable[[str], str] | None = None  # checks the name of a queue, where files can be in one
    notifies: bool = False  # whether a client may set `notify`
    password: Callable[[str | None], str | None] | None = None  # returns the password, given the one in the metadata


@dataclass(frozen=True, slots=True)
class Surface:
    """One HTTP dialect over the core."""

    name: str
    first_segments: frozenset[str]  # it owns every path that begins with one of these segments
    blueprint: Blueprint
    render: Callable[[Problem], Response]  # sets body and type; status and headers are set for it
    resumable: Resumable | None = None
    makes_keys: bool = False  # keys are random, so a 404 may be cached
    remembers: bool = True  # its refusals may be cached: all that they depend on is in the cache key
    sends_password: Callable[[Request], bool] = lambda _request: False  # of a file, right or wrong
    key_of: Callable[[Request], str] = _key_of_route  # the key of the file that a request is about, or ""
