"""What a sample is: pools, problems, seeds by name, and hashes of files."""
