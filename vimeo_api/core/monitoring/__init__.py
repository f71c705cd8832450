"""What operators can see from inside: file counts, readiness and probes."""
