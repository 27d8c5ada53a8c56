"""The names of the kinds of chaos, for those who must not load Django yet."""

ON_BOTH = (
    "idle",
    "drained",
    "body",
    "between",
    "pusher",
    "sentinel",
    "parents",
    "everything",
    "paused",
    "stop",
    "stop_group",
    "ordinary",
    "poison_exit",
    "poison_segfault",
)
WITH_A_SERVER = ("server", "outage")
POSTGRESQL_ONLY = ("connections", *WITH_A_SERVER)
ALL = (*ON_BOTH, *POSTGRESQL_ONLY)
