"""What the core tells operators: file counts, readiness and probes."""
