"""How gunicorn serves the site: `gunicorn`, without further arguments, in this directory."""

import os

from fsa_platform.environment import choice, count
from fsa_platform.logs import logging_settings

wsgi_app = "fsa_platform.wsgi"
bind = os.environ.get("BIND", "127.0.0.1:8000")

# Threads, because requests wait for the database more than they compute. On SQLite one process:
# its write lock is unfair among processes.
is_postgresql = os.environ.get("DATABASE_URL", "").startswith("postgres")
workers = count("WEB_WORKERS", default=2 if is_postgresql else 1, at_most=64)
worker_class = "gthread"
threads = count("WEB_THREADS", default=8, at_most=256)

# A request that takes longer than this kills its process. 16 MiB of events take two seconds.
timeout = 60
graceful_timeout = 30
keepalive = 65  # longer than proxies keep theirs, so that a request never meets a closing end
max_requests = 0  # nothing leaks, and a replaced process costs the requests that it holds

# Addresses hold event keys of up to 64 characters, and filters.
limit_request_line = 8190
limit_request_field_size = 8190

# X-Forwarded-... count only from a proxy on this host; where it is elsewhere, name it.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")

accesslog = "-"
access_log_format = '%(h)s "%(r)s" %(s)s %(b)s %(M)sms'
# Django is not set up where gunicorn logs; keys are scrubbed here too.
logconfig_dict = logging_settings(
    log_format=choice("LOG_FORMAT", among=("text", "json")), with_runs=False
)
