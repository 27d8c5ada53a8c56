"""Limits under fire: bodies write when they begin and end, and a checker reads nothing else."""
