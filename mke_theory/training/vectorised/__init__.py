"""The same step for thousands of jobs at once."""
