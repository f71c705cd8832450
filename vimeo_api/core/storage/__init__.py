"""The disk: staging, publishing and removing bytes, and the locks and limits that protect it."""
