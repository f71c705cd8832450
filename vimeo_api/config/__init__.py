"""Every setting, read from the environment in this one place, or from files.

Two profiles share all code and differ only here: `Embedded` needs no service, `Production` stands behind nginx.
`load()` picks one by `PROFILE` and `check()` looks at the host; both answer a mistake with one sentence. The settings
themselves stand in a module for each thing that they are about; `settings` puts them together.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ByteSize, ValidationError

from vimeo_api.config import secret
from vimeo_api.config.settings import Embedded, Production, Settings

__all__ = ["ConfigError", "Embedded", "Production", "Settings", "check", "fields", "load"]


class ConfigError(Exception):
    """A setting is missing or wrong; the message says which, and what to do."""


def load(environ: dict[str, str] | None = None) -> Settings:
    """Return the settings of the profile that the environment names.

    Raises ConfigError with a sentence for each value that cannot be read.
    """
    values: dict[str, Any] = {} if environ is None else {k.lower(): v for k, v in environ.items()}
    try:
        first = Settings(**values)
        profile = Production if first.profile == "production" else Embedded
        settings = profile(_secrets_dir=_readable_folder(first.secrets_dir), **values)
        if isinstance(settings, Embedded):
            settings = Embedded(_secrets_dir=settings.secrets_dir, **{**values, **_kept_secrets(settings)})
    except ValidationError as error:
        # The message names the setting and the rule, never the value, which may be a secret.
        raise ConfigError(
            " ".join(f"{str(e['loc'][0]).upper()}: {e['msg']}." for e in error.errors(include_input=False))
        ) from None
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be used: {error.strerror}.") from error
    return settings


def check(settings: Settings) -> Settings:
    """Return the settings if the service can start with them on this host, making its own folders first.

    Raises ConfigError with all faults, a sentence each.
    """
    if faults := list(settings.faults()):
        raise ConfigError(" ".join(faults))
    return settings


def fields() -> Iterator[tuple[str, str, str]]:
    """Yield name, default and description of every setting, for the README's table."""
    for name, field in Settings.model_fields.items():
        default: object = field.default
        if isinstance(default, ByteSize):
            default = default.human_readable()
        yield (
            name.upper(),
            "" if field.default_factory or default in ("", None) else str(default),
            field.description or "",
        )


def _readable_folder(folder: Path | None) -> Path | None:
    if folder is not None:
        next(folder.iterdir(), None)
    return folder


def _kept_secrets(settings: Settings) -> dict[str, str]:
    """Return the secrets that nobody set, made on the first start and kept since."""
    return {
        "secret_key": settings.secret_key or secret.secret_key(settings.data_dir),
        "sealing_keys": settings.sealing_keys or secret.sealing_keys(settings.data_dir),
    }
