"""What the surfaces take, and how long they keep it."""

import hashlib
from typing import Annotated

from cryptography.fernet import Fernet
from pydantic import AfterValidator, ByteSize, Field
from pydantic_settings import BaseSettings


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


class Surfaces(BaseSettings):
    """The rules of the surfaces; `core.policy` reads most of them by the surface's name."""

    vimeo_max_bytes: ByteSize = Field(
        ByteSize(16 * 1024**2),
        gt=0,
        description="Largest file of the surface `vimeo`, in bytes or as `16MiB`.",
    )
    streams_max_bytes: ByteSize | None = Field(None, gt=0, description="Largest stream; none by default.")
    store_max_bytes: ByteSize | None = Field(
        None, gt=0, description="Largest file of the surface `store`; none by default."
    )
    named_max_bytes: ByteSize | None = Field(
        None, gt=0, description="Largest file of the surface `named`; none by default."
    )
    transfer_max_bytes: ByteSize | None = Field(
        None, gt=0, description="Largest file of the surface `transfer`; none by default."
    )
    vimeo_expires_seconds: int | None = Field(
        None, ge=1, description="Longest life of a file of the surface `vimeo`, in seconds; for ever by default."
    )
    streams_expires_seconds: int | None = Field(
        None, ge=1, description="Longest life of a file of the surface `streams`, in seconds; for ever by default."
    )
    store_expires_seconds: int | None = Field(
        None, ge=1, description="Longest life of a file of the surface `store`, in seconds; for ever by default."
    )
    named_expires_seconds: int | None = Field(
        None, ge=1, description="Longest life of a file of the surface `named`, in seconds; for ever by default."
    )
    transfer_expires_seconds: int | None = Field(
        None, ge=1, description="Longest life of a file of the surface `transfer`, in seconds; for ever by default."
    )
    streams_path: str = Field("DATA", description="How the surface `streams` names its folder in errors, as `--path`.")
    store_algorithm: Annotated[str, AfterValidator(_known_algorithm)] = Field(
        "sha256",
        description="Hash that names new files of the surface `store`, such as `md5`; stored ones keep their names.",
    )
    named_extensions: str = Field(
        "csv,doc,docx,gif,jpeg,jpg,pdf,png,rtf,txt,xls,xlsx,zip",
        description="Extensions that the surface `named` takes, in any case, separated by commas.",
    )
    sealing_keys: Annotated[str, AfterValidator(_fernet_keys)] = Field(
        "",
        repr=False,
        description="Fernet keys of the surface `transfer`, separated by commas: the first seals, all open. "
        "Embedded: made and kept on first start.",
    )
    digests: bool = Field(
        default=True,
        description="Whether files whose upload needs no SHA-256 get one all the same, for `Repr-Digest`.",
    )
