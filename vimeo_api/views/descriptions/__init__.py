"""What the surfaces' operations take and answer, in words and examples; the views carry it, `/docs` shows it."""
