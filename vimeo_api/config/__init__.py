"""Every setting, read here and nowhere else, from the environment or from files.

Two profiles share all code and differ only here: `Embedded` needs no service, `Production` runs behind nginx.
`load()` picks one by `PROFILE` and `check()` looks at the host; both report a mistake in one sentence. `settings` has
the settings themselves, `profiles` what each profile changes, `faults` what the service cannot start with.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ByteSize, ValidationError
from sqlalchemy.engine import make_url

from vimeo_api.config import faults, secret
from vimeo_api.config.profiles import Embedded, Production
from vimeo_api.config.settings import SECTIONS, SURFACE_SECTIONS, Settings

__all__ = ["ConfigError", "Embedded", "Production", "Row", "Settings", "check", "load", "table"]


class ConfigError(Exception):
    """A setting is missing or wrong; the message says which, and what to do."""


# What other programs set: a shell, Docker, Kubernetes for a service called `store`, for example, and our own client.
_FOREIGN = re.compile(
    r"HOST(?:NAME)?|DIGEST|VIMEO_API_(?:URL|TOKEN|PASSWORD)|.+_SERVICE_(?:HOST|PORT)(?:_.*)?|.+_PORT(?:_[0-9]+_(?:TCP|UDP)(?:_.*)?)?"
)
_LIKENESS = 0.87  # of two names, one of which is probably a slip


class Row(NamedTuple):
    """A setting as the documentation lists it."""

    name: str
    default: str
    description: str


def load(overrides: Mapping[str, str] | None = None, *, existing: bool = False) -> Settings:
    """Return the settings of the profile that the environment names; an override wins over the environment.

    An empty value counts as unset. Raises ConfigError with a sentence for each value that cannot be read and each name
    that is probably misspelt; with `existing` also if the database does not exist, before it makes any file.
    """
    values = _upper(os.environ) | _upper(overrides or {})
    if misspelt := list(_misspelt(values)):
        raise ConfigError(" ".join(misspelt))
    try:
        if folder := values.get("SECRETS_DIR") or values.get("CREDENTIALS_DIRECTORY"):  # systemd.exec(5)
            values = _read_files(Path(folder)) | values | {"SECRETS_DIR": folder}
        profile = Production if values.get("PROFILE") == "production" else Embedded
        settings = profile.model_validate(_nest(values))
        if existing:
            _check_existing(settings)
        if isinstance(settings, Embedded):
            settings = settings.model_copy(update=_kept_secrets(settings))
    except ValidationError as error:
        # The message names the setting and the rule, never the value, which may be a secret.
        # A default that is made from a wrong value is no fault of its own.
        wrong = [e for e in error.errors(include_input=False) if e["type"] != "default_factory_not_called"]
        raise ConfigError(" ".join(f"{_name(*e['loc'])}: {_said(e['msg'])}." for e in wrong)) from None
    except UnicodeEncodeError:
        raise ConfigError("A setting is not UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be used: {error.strerror}.") from error
    return settings


def check(settings: Settings) -> Settings:
    """Return the settings if the service can start with them on this host, creating its folders if need be.

    Raises ConfigError with all faults, a sentence each.
    """
    if found := list(faults.of(settings)):
        raise ConfigError(" ".join(found))
    return settings


def table() -> Iterator[tuple[str, list[Row]]]:
    """Yield each section's title and settings, as docs/settings.md lists them."""
    for prefix, section in SECTIONS:
        yield (
            (section.__doc__ or "").removesuffix("."),
            [
                Row(
                    f"{prefix}{name}".upper(),
                    "" if field.default_factory else _printed(field.default),
                    field.description or "",
                )
                for name, field in section.model_fields.items()
            ],
        )


def _printed(default: object) -> str:
    if isinstance(default, ByteSize):
        return default.human_readable()
    if isinstance(default, tuple):  # of rates
        return "; ".join(str(rate).replace(" per 1 ", " per ") for rate in default)
    return "" if default is None else str(default)


def _upper(values: Mapping[str, str]) -> dict[str, str]:
    return {name.upper(): value for name, value in values.items() if value}


def _misspelt(values: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each name that looks like a setting but is none; it would silently have no effect."""
    for name in sorted(values.keys() - _names()):
        if not _FOREIGN.fullmatch(name) and (nearest := _nearest(name)):
            yield f"{name} is not a setting; did you mean {nearest}?"


@cache
def _names() -> frozenset[str]:
    return frozenset(row.name for _, rows in table() for row in rows)


@cache
def _nearest(name: str) -> str | None:
    """Return the setting that is probably meant by a name, None if none is."""
    prefixes = tuple(f"{name.upper()}_" for name in SURFACE_SECTIONS)
    likeness = 0.0 if name.startswith(prefixes) else _LIKENESS
    return next(iter(difflib.get_close_matches(name, _names(), n=1, cutoff=likeness)), None)


def _check_existing(settings: Settings) -> None:
    url = make_url(settings.database_url) if settings.database_url else None
    if url is not None and url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise ConfigError(
            f"There is no database {url.database}. Run the command with the settings of the service: "
            "DATA_DIR, or PROFILE and DATABASE_URL."
        )


def _said(message: str) -> str:
    return message.removeprefix("Value error, ").removesuffix(".")


def _read_files(folder: Path) -> dict[str, str]:
    files = {path.name.upper(): path for path in folder.iterdir() if path.is_file()}
    return _upper({name: _text(files[name]).strip() for name in _names() & files.keys()})


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not UTF-8.") from None


def _nest(values: Mapping[str, str]) -> dict[str, Any]:
    """Return the values as `Settings` nests them: VIMEO_MAX_BYTES is `max_bytes` of `vimeo`."""
    nested: dict[str, Any] = {name: {} for name in SURFACE_SECTIONS}
    for name, value in values.items():
        surface, _, rest = name.lower().partition("_")
        if surface in SURFACE_SECTIONS and rest in SURFACE_SECTIONS[surface].model_fields:
            nested[surface][rest] = value
        elif name.lower() not in SURFACE_SECTIONS:
            nested[name.lower()] = value
    return nested


def _name(first: int | str, *rest: int | str) -> str:
    """Return the name of the setting at a place in `Settings`."""
    return f"{first}_{rest[0]}".upper() if first in SURFACE_SECTIONS else str(first).upper()


def _kept_secrets(settings: Settings) -> dict[str, str]:
    """Return the secrets that are not set, generated on the first start and kept since."""
    return {
        "secret_key": settings.secret_key or secret.secret_key(settings.data_dir),
        "sealing_keys": settings.sealing_keys or secret.sealing_keys(settings.data_dir),
    }
