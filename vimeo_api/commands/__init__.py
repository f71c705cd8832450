"""The operator's commands; `cli` adds them to manage.py."""
