"""What a dialect is to the rest: a name, the paths it owns, its routes, and how it words a problem."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Request, Response

from vimeo_api.web.problems import Problem


def _key_of_route(request: Request) -> str:
    return str((request.view_args or {}).get("key", ""))


@dataclass(frozen=True, slots=True)
class Surface:
    """One HTTP dialect over the core."""

    name: str
    first_segments: frozenset[str]  # it owns every path that begins with one of these segments
    blueprint: Blueprint
    render: Callable[[Problem], Response]  # sets body and type; status and headers are set for it
    makes_keys: bool = False  # at random, so that what is not there will not be there in a moment either
    remembers: bool = True  # its refusals, which then depend on nothing that their key in the cache does not hold
    shows_password: Callable[[Request], bool] = lambda _request: False  # of a file, whatever it is worth
    key_of: Callable[[Request], str] = _key_of_route  # the key of the file that a request is about, or ""
