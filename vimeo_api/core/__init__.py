"""The pipeline itself: rows, states, bytes on disk, deliveries. It knows no HTTP."""
