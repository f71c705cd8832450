"""Access control: file passwords, API tokens and sealed ids."""
