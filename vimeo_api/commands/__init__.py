"""The commands `copy`, `fetch` and `token`; `cli` adds them to manage.py."""
