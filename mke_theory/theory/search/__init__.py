"""Every world on a few atoms, searched for one that refutes a claim."""
