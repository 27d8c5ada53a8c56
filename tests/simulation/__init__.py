"""A deterministic simulator of the real engine: one seed, one history, however often repeated.

    cooperation   threads that take turns, and time that moves only when it is moved
    databases     a database in memory, the same at the beginning of every history
    workflows     what is executed: every tool of an author, and what each run must give
    journal       what bodies and senders saw, apart from the engine's tables
    processes     worker processes: the real drain, writer, bodies and beat, on such threads
    faults        deaths, pauses, errors of the database, lost answers, jumps of the clock
    moves         what senders and operators do meanwhile
    snapshots     the engine's tables at one moment
    flow_control  what must be so of limits, gates and pauses
    invariants    what else must be so after every transaction, and at the end
    simulation    one history
    bugs          planted ones, each of which the invariants must notice

`make simulate SEEDS=17` repeats the history of seed 17; `SEEDS=1-500` tries many.
"""
