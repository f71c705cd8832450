"""The version of this package: what the wheel, `vimeo-api --version`, /metrics and the API description report."""

VERSION = "0.1.0"
