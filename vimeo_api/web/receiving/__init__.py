"""From a request to received bytes: a raw body, a form, or a file handed over by nginx."""
