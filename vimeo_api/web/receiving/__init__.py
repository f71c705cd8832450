"""Receiving bodies: raw, as a form, or as a file that nginx has spooled."""
