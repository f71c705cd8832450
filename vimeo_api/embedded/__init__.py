"""What stands in for nginx, uWSGI and Redis on one machine, for `manage.py runserver`."""
