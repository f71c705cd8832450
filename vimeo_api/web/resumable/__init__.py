"""The headers of the two protocols for resumable uploads, for `views.uploads`."""
