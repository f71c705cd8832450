"""Sending files: by nginx through X-Accel-Redirect, or by Python when embedded."""
