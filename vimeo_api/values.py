"""What the values of settings may be; `config` declares its fields by these types.

What each raises becomes a sentence about the setting, so it must not quote a value that may be a secret.
"""

import hashlib
import ipaddress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from pydantic import AfterValidator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


def _known_algorithm(name: str) -> str:
    if name not in hashlib.algorithms_guaranteed or name.startswith("shake"):
        raise ValueError(f"{name} is no hash of a fixed length")
    return name


def _fernet_keys(keys: str) -> str:
    try:
        for key in filter(None, keys.split(",")):
            Fernet(key)
    except ValueError:
        raise ValueError("a Fernet key is 32 bytes in URL-safe base64") from None
    return keys


def _readable_address(url: str) -> str:
    """Refuse an address whose parts are not what they seem: a password's pieces would turn up in errors as a host."""
    try:
        host = make_url(url).host if url else None
        _ = urlsplit(url).port
    except (ArgumentError, ValueError):
        raise ValueError("it is no address; what is special in a password must be percent-encoded") from None
    if "@" in (host or ""):
        raise ValueError("its host holds an @; what is special in a password must be percent-encoded")
    return url


def listed(words: str) -> frozenset[str]:
    """Return the words of a list that commas separate."""
    return frozenset(word.strip() for word in words.split(","))


def networks(words: str) -> frozenset[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the networks in a list like `10.0.0.0/8,::1,unix`, whose words `unix` and `none` are none."""
    return frozenset(ipaddress.ip_network(name, strict=False) for name in listed(words) - {"unix", "none"})


def _listed_networks(words: str) -> str:
    networks(words)
    return words


AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
Address = Annotated[str, AfterValidator(_readable_address)]
Algorithm = Annotated[str, AfterValidator(_known_algorithm)]
FernetKeys = Annotated[str, AfterValidator(_fernet_keys)]
Networks = Annotated[str, AfterValidator(_listed_networks)]
