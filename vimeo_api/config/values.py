"""The types of settings, parsed from text: rates, origins, networks, URLs, paths, keys and hash names.

`settings` uses these types; the message of a ValueError ends the sentence that the operator reads.
"""

import base64
import binascii
import hashlib
import ipaddress
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from limits import RateLimitItem, parse_many
from pydantic import AfterValidator, BeforeValidator, PlainValidator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


def listed(words: str) -> frozenset[str]:
    """Return the words of a comma-separated list."""
    return frozenset(word.strip() for word in words.split(",") if word.strip())


def networks(words: str) -> frozenset[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the networks in a list like `10.0.0.0/8,::1,unix`, leaving out the words `unix` and `none`."""
    return frozenset(ipaddress.ip_network(name, strict=False) for name in listed(words) - {"unix", "none"})


UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,12})([smhd]?)")
_FRACTION = re.compile(r"[0-9]{0,9}\.[0-9]{1,9}")
LONGEST_SECONDS = 100 * 365 * 86400  # of a duration, so that no date passes the last year of the calendar


def seconds(text: str) -> int:
    """Return the seconds of a duration such as `90`, `90s`, `30m`, `12h` or `7d`. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("it is not a duration such as 90, 90s, 30m, 12h or 7d")
    found = int(match[1]) * UNITS[match[2]]
    if found > LONGEST_SECONDS:
        raise ValueError("it is longer than 100 years")
    return found


def _seconds(value: float | str) -> float | str:
    return value if _FRACTION.fullmatch(str(value)) else seconds(str(value))


MAX_HOST_NAME = 253  # characters, RFC 1035
FORWARDED = ("for", "proto", "host", "port", "prefix")  # what X-Forwarded-… headers are about
_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def is_host_name(text: str) -> bool:
    """Return whether a text is a host name or an IPv4 address. Containers have names with `_`, so it is accepted."""
    return len(text) <= MAX_HOST_NAME and bool(_HOST_NAME.fullmatch(text))


MAX_PORT = 65535
_PORTS = {"http": 80, "https": 443}
MAX_OWN_NAME = 64  # characters, as Linux allows for the name of a machine
_OWN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def _own_name(name: str) -> str:
    if not _OWN_NAME.fullmatch(name) or len(name) > MAX_OWN_NAME:
        raise ValueError(f"the name of a host is 1 to {MAX_OWN_NAME} letters, digits, hyphens and dots")
    return name


def _peer_address(address: str) -> str:
    host, _, port = address.rpartition(":")
    if address and not (is_address(host.strip("[]")) and port.isdecimal() and 0 < int(port) <= MAX_PORT):
        raise ValueError("it is not an IP address and a port, such as 10.0.0.1:8081")
    return address


def is_address(text: str) -> bool:
    """Return whether a text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _listening_address(text: str) -> str:
    """Return an address without the brackets that IPv6 has in URLs."""
    address = text.removeprefix("[").removesuffix("]")
    if not (is_address(address) or is_host_name(address)):
        raise ValueError(f"{text} is neither an address nor a host name")
    return address


def _host_names(text: str) -> str:
    for name in listed(text):
        try:
            ipaddress.ip_address(name)
        except ValueError:
            if name != "*" and not is_host_name(name.removeprefix(".")):
                raise ValueError(f"{name} is not a host name, such as files.example.org") from None
    return text.lower()


def _forwarded(text: str) -> str:
    if unknown := listed(text) - set(FORWARDED):
        raise ValueError(f"{min(unknown)} is not one of: {', '.join(FORWARDED)}")
    return text


def _networks(text: str) -> str:
    networks(text)
    return text


def rates(value: str | tuple[RateLimitItem, ...]) -> tuple[RateLimitItem, ...]:
    """Return the rates in a text like `20 per minute; 100 per day`; `off` is no rate."""
    if isinstance(value, str):
        return () if value == "off" else tuple(parse_many(value))
    return value


FIRST_DRAFT = 5  # the first interop version of resumable uploads that has the headers of the later ones


def _draft_versions(text: str) -> str:
    if not listed(text):
        raise ValueError("it needs at least one version")
    for version in listed(text):
        if not re.fullmatch(r"[0-9]{1,4}", version) or int(version) < FIRST_DRAFT:
            raise ValueError(f"{version} is not a version from {FIRST_DRAFT} on")
    return text


def _origins(text: str) -> str:
    return ",".join(map(_origin, listed(text)))


def _origin(text: str) -> str:
    """Return an origin as browsers write it: in lower case, without the port that its scheme has anyway."""
    try:
        parts = urlsplit(text.lower())
        named = is_host_name(parts.hostname or "") or is_address(parts.hostname or "")
        port = parts.port
    except ValueError:
        named = False
    if not (named and parts.scheme in _PORTS and text.lower() == f"{parts.scheme}://{parts.netloc}") or "@" in text:
        raise ValueError(f"{text} is not an origin such as https://example.org")
    return text.lower().removesuffix(f":{port}") if port == _PORTS[parts.scheme] else text.lower()


_EXTENSION = re.compile(r"[^\s./\\*]+")


def _extensions(text: str) -> str:
    """Return file name extensions without the dots that some write in front."""
    found = [word.removeprefix(".") for word in listed(text)]
    for extension in found:
        if not _EXTENSION.fullmatch(extension):
            raise ValueError(f"{extension} is not an extension such as pdf")
    if not found:
        raise ValueError("it needs at least one extension")
    return ",".join(found)


_STORE_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9_.-]+)*/?")


_LONGEST_PREFIX = 800  # bytes, with the bucket; a key has 1024 at most


def _store_url(url: str) -> str:
    if url and (not _STORE_URL.fullmatch(url) or {".", ".."} & {*url.split("/")}):
        raise ValueError("it is not s3://BUCKET or s3://BUCKET/PREFIX; a prefix has letters, digits and -_./ only")
    if len(url) > _LONGEST_PREFIX:
        raise ValueError("its prefix is too long")
    return url


def _region(name: str) -> str:
    if not re.fullmatch("[a-z0-9-]+", name):
        raise ValueError("it is not a region such as us-east-1")
    return name


def _for_header(text: str) -> str:
    """Raise ValueError for what cannot stand in a header: obstore panics."""
    if not re.fullmatch("[!-~]*", text):
        raise ValueError("it has a space, a line break or a character that is not ASCII")
    return text


def _endpoint(url: str) -> str:
    """Raise ValueError unless a URL names only a server: the path is the bucket's."""
    try:
        parts = urlsplit(url)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        port_is_right = False
    named = port_is_right and parts.scheme in {"http", "https"} and _is_server(parts.hostname or "")
    if url and not (named and url.rstrip("/") == f"{parts.scheme}://{parts.netloc}" and "@" not in parts.netloc):
        raise ValueError("it is not http:// or https:// with a host and perhaps a port")
    return url.rstrip("/")


def _is_server(host: str) -> bool:
    """Return whether a text is a name or an address; what ends with a number is no name (https://url.spec.whatwg.org/)."""
    if is_address(host):
        return "%" not in host  # no scope: it means something on one host only
    return is_host_name(host) and not host.rpartition(".")[2].isdecimal()


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


def _webhook_secrets(secrets: str) -> str:
    for secret in filter(None, secrets.split(",")):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            key = b""
        if not secret.startswith("whsec_") or not 24 <= len(key) <= 64:  # noqa: PLR2004 -- Standard Webhooks
            raise ValueError("a secret is `whsec_` and the base64 of 24 to 64 random bytes")
    return secrets


AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
FernetKeys = Annotated[str, AfterValidator(_fernet_keys)]
DraftVersions = Annotated[str, AfterValidator(_draft_versions)]
Extensions = Annotated[str, AfterValidator(_extensions)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Duration = Annotated[int, BeforeValidator(_seconds)]  # in seconds
FractionalDuration = Annotated[float, BeforeValidator(_seconds)]
Forwarded = Annotated[str, AfterValidator(_forwarded)]
ForHeader = Annotated[str, AfterValidator(_for_header)]
HashName = Annotated[str, AfterValidator(_hash_name)]
HostName = Annotated[str, AfterValidator(_own_name)]
HostNames = Annotated[str, AfterValidator(_host_names)]
ListeningAddress = Annotated[str, AfterValidator(_listening_address)]
Networks = Annotated[str, AfterValidator(_networks)]
Origins = Annotated[str, AfterValidator(_origins)]
PeerAddress = Annotated[str, AfterValidator(_peer_address)]
Rates = Annotated[tuple[RateLimitItem, ...], PlainValidator(rates)]
Region = Annotated[str, AfterValidator(_region)]
StoreUrl = Annotated[str, AfterValidator(_store_url)]
ServiceUrl = Annotated[str, AfterValidator(_service_url)]
WebhookSecrets = Annotated[str, AfterValidator(_webhook_secrets)]
