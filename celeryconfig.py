"""Celery's settings: queues, beat, delivery guarantees. What differs between hosts comes from the environment.

Celery is the fast path and the database row is the truth (docs/decisions/0004), so a lost message costs a sweep
interval and never a file. The settings below keep messages cheap to lose and cheap to repeat.
"""

from celery.schedules import crontab
from kombu.entity import Queue

imports = ("vimeo_api.tasks",)

# One queue per purpose, so that a flood of one kind of work never delays another. Those of `host_queues` also exist for
# each host, as `place.HOST`, for what only that host can do; a worker there that serves `place` serves both.
host_queues = ("delete", "maintenance", "place")
task_queues = [Queue(name, routing_key=name) for name in ("delete", "fetch", "maintenance", "notify", "place")]
task_routes = {
    "vimeo_api.tasks.count": {"queue": "maintenance"},
    "vimeo_api.tasks.delete": {"queue": "delete"},
    "vimeo_api.tasks.digest": {"queue": "maintenance"},
    "vimeo_api.tasks.fetch": {"queue": "fetch"},
    "vimeo_api.tasks.join": {"queue": "place"},
    "vimeo_api.tasks.notify": {"queue": "notify"},
    "vimeo_api.tasks.place": {"queue": "place"},
    "vimeo_api.tasks.reconcile": {"queue": "maintenance"},
    "vimeo_api.tasks.reconcile_host": {"queue": "maintenance"},
    "vimeo_api.tasks.resume": {"queue": "maintenance"},
    "vimeo_api.tasks.sweep": {"queue": "maintenance"},
    "vimeo_api.tasks.sweep_host": {"queue": "maintenance"},
}
task_create_missing_queues = False

# A message is acknowledged after its work is done; every task is safe to run twice.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1

# Nobody waits for a result.
task_ignore_result = True
result_backend = None

# One attempt to publish: the request must go on, and the sweep finds what was not enqueued.
task_publish_retry = True
task_publish_retry_policy = {"max_retries": 0}

# A task that waited longer than this is dropped: the next one is already queued. Redis keeps expired messages until a
# worker takes them, so beat stops enqueueing when the queue is full (core/broker.py).
beat_schedule = {
    "reconcile": {"task": "vimeo_api.tasks.reconcile", "schedule": crontab(hour="4", minute="17")},
    "sweep": {"task": "vimeo_api.tasks.sweep", "schedule": 2.0, "options": {"expires": 10.0}},
}

beat_scheduler = "vimeo_api.beat:SkippingScheduler"

broker_connection_retry_on_startup = True
broker_connection_max_retries = None
worker_cancel_long_running_tasks_on_connection_loss = False
worker_hijack_root_logger = False
worker_send_task_events = False
worker_enable_remote_control = False  # nobody uses it; `core.monitoring.heartbeats` shows whether a worker works
task_serializer = "json"
accept_content = ["json"]
timezone = "UTC"
