"""What happens: a module for each verb, in the order in which a run lives.

    send        an event becomes a row, in the sender's transaction
    route       which workflows it starts
    take        a worker leases due runs
    execute     a run's function is called, on its stored steps
    steps       the tools that the function uses
    store       results, suspensions and ends of many runs, in one transaction
    wake        suspended runs whose time has come are queued again
    cancel      a run is stopped on request
    invoke      an operator starts a run by hand
    retry       a failed run is taken up again where it failed
    rescue      what a dead worker held is queued again
    lease       a worker's one lease: begun, renewed, given back
    register    what workers know becomes rows
    due         what a host could do now, and when next

Every transaction is `transactions.transaction(name)`; every change of a run's state is here.
"""
