"""A Celery-backed upload pipeline behind nginx.

The ten-minute tour:

1.  `app.create_app` lists the parts in the order in which they are put together.
2.  `views/vimeo.py` is a whole dialect on one page: parse, one call into `services`, shape the answer.
3.  `services.py`, `downloads.py`, `queueing.py` and `fetches.py` have the use cases: `upload` and `open_download` show
    how bytes and rows meet.
4.  `core/models.py` opens with the glossary, `core/lifecycle.py` with the states; each move is one UPDATE.
5.  `web/delivery.py` is the only door by which bytes leave, `core/deliveries.py` decides what became of them.
6.  `tasks.py` is what workers do; `core/upkeep.py` is the guarantee behind it.

Imports point one way: wsgi, worker, schedule, cli → app, commands → views → web → services → tasks → core →
extensions → config.
The reasons stand in docs/decisions/.
"""
