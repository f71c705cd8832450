"""The version of this package: what the wheel, `vimeo-api --version`, /metrics and the API description report."""

VERSION = "0.2.0.dev0"  # PEP 440: what comes after 0.1.0, until that is released
