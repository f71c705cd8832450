"""Who may do what, and how often."""

from typing import Annotated

from limits import parse_many
from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings


def _rate(text: str) -> str:
    """Return a rate in the words of Flask-Limiter, "" for no limit."""
    if text == "off":
        return ""
    if text:
        parse_many(text)
    return text


def _origins(text: str) -> str:
    for origin in filter(None, text.split(",")):
        scheme, found, host = origin.partition("://")
        if scheme not in {"http", "https"} or not found or not host or "/" in host or "*" in host:
            raise ValueError(f"{origin} is no origin, such as https://example.org")
    return text


Rate = Annotated[str, AfterValidator(_rate)]


class Access(BaseSettings):
    """Tokens, limits of rates, and which other sites may ask from a browser."""

    require_tokens: bool = Field(
        default=False,
        description="Whether uploading, listing, deleting and taking from queues need an API token.",
    )
    trusted_proxies: int = Field(
        0,
        ge=0,
        description="Proxies in front of our nginx (embedded: of the server) whose `X-Forwarded-For` is believed.",
    )
    password_limit_address: Rate = Field(
        "20 per minute", description="Wrong passwords from one address, as `20 per minute`, or `off`."
    )
    password_limit_file: Rate = Field(
        "100 per hour", description="Wrong passwords for one file from all addresses, likewise."
    )
    vimeo_upload_limit: Rate = Field(
        "", description="Uploads to the surface `vimeo` by one token or address, as `100 per minute`; none by default."
    )
    streams_upload_limit: Rate = Field("", description="Uploads to the surface `streams`, likewise.")
    store_upload_limit: Rate = Field("", description="Uploads to the surface `store`, likewise.")
    named_upload_limit: Rate = Field("", description="Uploads to the surface `named`, likewise.")
    transfer_upload_limit: Rate = Field("", description="Uploads to the surface `transfer`, likewise.")
    fetch_limit: Rate = Field("", description="Uploads from URLs by one token or address, likewise.")
    cors_origins: Annotated[str, AfterValidator(_origins)] = Field(
        "",
        description="Origins whose pages may ask from a browser, separated by commas; none by default.",
    )
