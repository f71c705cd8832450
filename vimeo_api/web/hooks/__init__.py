"""What happens before and after every request, one module for each concern."""
