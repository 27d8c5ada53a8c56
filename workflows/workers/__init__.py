"""Who executes: the broker that feeds django-q2's workers, and what they do with a drain."""
