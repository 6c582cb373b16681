"""Samples: pools, problems with their truth apart, seeds by name, and hashes of files."""
