"""Uploads from URLs."""

from pydantic import Field
from pydantic_settings import BaseSettings


class Fetching(BaseSettings):
    """Whether, how and how long URLs are fetched."""

    fetch_urls: bool = Field(default=True, description="Whether URL uploads are taken at all.")
    fetch_wait_seconds: float = Field(
        3, ge=0, description="A URL upload waits so long for the workers before it answers 202."
    )
    fetch_waiters: int = Field(
        4, ge=0, description="So many requests of a web process wait for fetches at once; others get 202 right away."
    )
    fetch_seconds: int = Field(6 * 3600, ge=1, description="Longest time a fetch may take.")
    fetch_idle_seconds: int = Field(60, ge=1, description="A fetch that gets no byte for so long fails.")
    fetch_connections: int = Field(8, ge=1, le=64, description="Ranges of one URL that are fetched at the same time.")
    fetch_allow_private: bool = Field(
        default=False,
        description="Whether URLs may lead to private and loopback addresses. Embedded: yes.",
    )
