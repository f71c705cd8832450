"""Metrics for Prometheus, and who may see them."""
