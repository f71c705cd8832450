"""The only door by which bytes of files leave: X-Accel-Redirect, or Python when embedded."""
