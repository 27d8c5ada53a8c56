"""The site's settings: what differs between installations comes from the environment.

A value that cannot be used is refused at start, by a message that names its variable.
"""

from pathlib import Path

import django_stubs_ext

from fsa_platform.databases import database, database_vendor
from fsa_platform.environment import choice, count, flag, origins, secret_key, words
from fsa_platform.logs import logging_settings

# Makes `ModelAdmin[Organisation]` and its like work at run time, not only for the type checker.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

# The installation

DEBUG = flag("DEBUG", default=False)
SECRET_KEY = secret_key("SECRET_KEY", debug=DEBUG)
ALLOWED_HOSTS = words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = origins("CSRF_TRUSTED_ORIGINS")

# SQLite's lock is unfair among processes, so there one process does the work on its threads.
WORKFLOWS_WORKERS = count(
    "WORKFLOWS_WORKERS", default=1 if database_vendor("DATABASE_URL") == "sqlite" else 2, at_most=64
)
WORKFLOWS_THREADS = count("WORKFLOWS_THREADS", default=64, at_most=512)
# The queues that this host's workers serve; none named means all.
WORKFLOWS_QUEUES = words("WORKFLOWS_QUEUES")

DATABASES = {"default": database("DATABASE_URL", directory=BASE_DIR, threads=WORKFLOWS_THREADS)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# HTTPS

HTTPS = flag("HTTPS", default=not DEBUG)
SECURE_SSL_REDIRECT = HTTPS
# Load balancers ask for health over plain HTTP and take a redirect for illness.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60 if HTTPS else 0
# Whether a parent domain's other hosts speak HTTPS too, and want browsers to ship that, is theirs
# to decide: the header says nothing of them.
SECURE_HSTS_INCLUDE_SUBDOMAINS = False
SECURE_HSTS_PRELOAD = False
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Only behind a proxy that sets this header itself; otherwise any client could claim HTTPS.
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if flag("TRUSTED_PROXY", default=False) else None
)

# What `check --deploy` would say of an installation that ends TLS elsewhere on purpose, or whose
# parent domain is not this site's to speak for.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

# The site

INSTALLED_APPS = [
    "organisations",
    # Before django_q, whose `qcluster` command it replaces.
    "workflows",
    "django_q",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "fsa_platform.security.content_security_policy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "fsa_platform.urls"
WSGI_APPLICATION = "fsa_platform.wsgi.application"
ASGI_APPLICATION = "fsa_platform.asgi.application"

AUTHENTICATION_BACKENDS = [
    "fsa_platform.security.QueueInternalsForSuperusers",
    "django.contrib.auth.backends.ModelBackend",
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en-gb"
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
# A file's name says what is in it, so that browsers keep it for ever; while debugging, files are
# served as they are, before anybody has run collectstatic.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# The event API takes requests of up to 16 MiB; Django would refuse more than 2.5.
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        # The first one decides how "not signed in" is answered: a token's 401, not a session's 403.
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["workflows.api.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Workflows",
    "DESCRIPTION": "Send events; see and manage what becomes of them.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/api/v1",  # what comes after it groups the calls
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "workflows.api.openapi.complete",
    ],
    "ENUM_NAME_OVERRIDES": {
        "RunStatus": "workflows.models.RunStatus",
        "StepStatus": "workflows.models.StepStatus",
        "StepOp": "workflows.models.StepOp",
    },
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "COMPONENT_SPLIT_PATCH": True,
    "SERVE_INCLUDE_SCHEMA": False,
}

# The engine

# Every option has its default: what differs between hosts is in WORKFLOWS_... above.
WORKFLOWS: dict[str, object] = {}

# django-q2 starts, watches and stops the worker processes. What they work on never passes
# through its queue: that only carries the constant task "drain".
Q_CLUSTER = {
    # Salts what is signed and names the queue, so all hosts must have the same.
    "name": "fsa-platform",
    # Hands out a drain when the engine has something to do, and ordinary tasks as ever.
    "broker_class": "workflows.workers.broker.WorkflowBroker",
    # The database that holds the ordinary tasks; the broker's base class reads it.
    "orm": "default",
    "workers": WORKFLOWS_WORKERS,
    # A drain that waits behind another is stale, so no more than one for each worker.
    "queue_limit": WORKFLOWS_WORKERS,
    # The pusher forwards one task a turn, so that a busy host leaves the next to others.
    "bulk": 1,
    # The broker itself waits for work; the pause of its base class would come on top.
    "poll": 0,
    # Recycling joins the worker's threads, that is, it waits for its longest body. The count of
    # tasks never equals 0, and a worker's memory is not looked at: both are off.
    "recycle": 0,
    "max_rss": None,
    # A watchdog over the drain, which returns within seconds however long its bodies run.
    "timeout": 120,
    # django-q2 hands a task out again after this time; later than the watchdog, or it runs twice.
    "retry": 180,
    # Keeps no successes, so drains leave no rows. An ordinary task that wants its result kept
    # passes save=True; failures are always kept.
    "save_limit": -1,
    # How the admin heads django-q2's own pages, which operators do not need.
    "label": "Queue internals",
}

LOGGING = logging_settings(log_format=choice("LOG_FORMAT", among=("text", "json")))
