"""Real processes and servers, killed, paused and cut off: every run completes all the same."""
