"""What each operation takes and answers, in words and examples; views state it with `described`, `/docs` shows it."""
