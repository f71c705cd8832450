"""The types of settings, parsed from text: rates, origins, networks, URLs, paths, keys and hash names.

`settings` uses these types; the message of a ValueError ends the sentence that the operator reads.
"""

import hashlib
import ipaddress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from limits import RateLimitItem, parse_many
from pydantic import AfterValidator, PlainValidator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


def listed(words: str) -> frozenset[str]:
    """Return the words of a comma-separated list."""
    return frozenset(word.strip() for word in words.split(",") if word.strip())


def networks(words: str) -> frozenset[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the networks in a list like `10.0.0.0/8,::1,unix`, leaving out the words `unix` and `none`."""
    return frozenset(ipaddress.ip_network(name, strict=False) for name in listed(words) - {"unix", "none"})


def _networks(text: str) -> str:
    networks(text)
    return text


def rates(value: str | tuple[RateLimitItem, ...]) -> tuple[RateLimitItem, ...]:
    """Return the rates in a text like `20 per minute; 100 per day`; `off` is no rate."""
    if isinstance(value, str):
        return () if value == "off" else tuple(parse_many(value))
    return value


def _origins(text: str) -> str:
    for origin in filter(None, text.split(",")):
        scheme, found, host = origin.partition("://")
        if scheme not in {"http", "https"} or not found or not host or "/" in host or "*" in host:
            raise ValueError(f"{origin} is not an origin such as https://example.org")
    return text


def _service_url(url: str) -> str:
    """Raise ValueError for a URL that would be misread: errors would show part of its password as the host."""
    try:
        host = make_url(url).host if url else None
        _ = urlsplit(url).port
    except (ArgumentError, ValueError):
        raise ValueError("it is not a URL; percent-encode special characters in its password") from None
    if "@" in (host or ""):
        raise ValueError("its host contains an @; percent-encode special characters in its password")
    return url


def _hash_name(name: str) -> str:
    if name not in hashlib.algorithms_guaranteed or name.startswith("shake"):
        raise ValueError(f"{name} is not a hash with a fixed length")
    return name


def _fernet_keys(keys: str) -> str:
    try:
        for key in filter(None, keys.split(",")):
            Fernet(key)
    except ValueError:
        raise ValueError("a Fernet key is 32 bytes in URL-safe base64") from None
    return keys


AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
FernetKeys = Annotated[str, AfterValidator(_fernet_keys)]
HashName = Annotated[str, AfterValidator(_hash_name)]
Networks = Annotated[str, AfterValidator(_networks)]
Origins = Annotated[str, AfterValidator(_origins)]
Rates = Annotated[tuple[RateLimitItem, ...], PlainValidator(rates)]
ServiceUrl = Annotated[str, AfterValidator(_service_url)]
