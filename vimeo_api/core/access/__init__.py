"""Who may do what: passwords of files, API tokens and sealed ids."""
