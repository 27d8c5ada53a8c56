"""A real cluster, and bodies that outlive their timeouts."""
