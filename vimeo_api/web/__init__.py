"""HTTP that the surfaces share: hooks, receiving bodies, sending files, metrics, errors, the API description."""
