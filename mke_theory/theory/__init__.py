"""Theory that computes: expansion, published bounds with their hypotheses checked, certificates."""
