"""How fast the engine is: the same workloads on SQLite and PostgreSQL, through a real cluster."""
