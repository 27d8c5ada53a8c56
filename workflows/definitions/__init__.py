"""What an author declares: workflows, events, triggers and limits, in pure Python."""
