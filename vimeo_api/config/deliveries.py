"""Downloads of one-time files."""

from pydantic import ByteSize, Field
from pydantic_settings import BaseSettings


class Deliveries(BaseSettings):
    """How long a download may take, and how long its holder may come back."""

    lease_seconds: int = Field(
        60,
        ge=1,
        description="A download that nobody reports on is given back after this time and what `LEASE_MIN_RATE` adds.",
    )
    lease_min_rate: ByteSize = Field(
        ByteSize(4 * 1024), gt=0, description="Slowest download that keeps its lease, in bytes per second."
    )
    grace_seconds: int = Field(
        30,
        ge=0,
        description="After a complete download its holder may resume for so many seconds; then the bytes go.",
    )
