"""NYU Depth V2: the class of every pixel."""
