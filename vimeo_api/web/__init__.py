"""HTTP that the surfaces share: receiving bodies, sending bytes, remembering refusals, naming problems."""
