"""The use cases; views call one of them each."""
