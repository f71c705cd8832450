"""A Celery-backed upload pipeline behind nginx.

To find anything, start from the URL: `views/<dialect>` parses the request and words the response, `services/<noun>`
decides, `core/<noun>/` does the work. `web/<stage>/` is HTTP that the dialects share. `embedded/` replaces nginx, uWSGI
and Redis on one machine. `client/` is for programs that use a server. The modules at the root of the package start
processes. `cli` lists the commands of manage.py: those that need no app are in `commands/`, the others in
`service_commands/`.

The ten-minute tour:

1.  `app.create_app` lists the parts in the order in which they are assembled.
2.  `views/vimeo/__init__.py` is a whole dialect: parse, one call into `services`, shape the response.
3.  `core/files/storing.py` and `services/downloads.py` show how bytes and rows go together: `upload`, `open_download`.
4.  `core/database/models.py` opens with the glossary. `core/files/lifecycle.py` has the states of a file and the table
    of moves between them; each move is one UPDATE. `core/files/leases.py` decides who downloads a one-time file.
5.  `web/receiving/` turns a request's body into a file, and `core/storage/blobs.py` publishes it.
6.  All files are sent through `web/sending/delivery.py`. `core/deliveries/confirmations.py` decides how a one-time
    download ended: the file is used up, or its lease is given back.
7.  `tasks.py` is what workers do. `core/fetching/job.py` fetches a URL. `core/maintenance/sweep.py` makes it reliable:
    it finds in the rows what is due, even if messages or workers were lost.
8.  `web/hooks/` is what happens around every request: API tokens, rate limits, CSRF and CORS, the cache of refusals.
9.  `config/settings.py` has every setting.

Imports point one way: wsgi, worker, beat, cli → service_commands → embedded → app, commands → views → web → services →
tasks → core → extensions (except `core/storage`, which `extensions` builds) → logs → config. docs/decisions/ has the
reasons, CONTRIBUTING.md the house rules.
"""
