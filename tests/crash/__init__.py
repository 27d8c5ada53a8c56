"""Real processes, killed: every run completes, and no finished step runs again."""
