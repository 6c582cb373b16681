"""One file a theorem: its hypotheses, each checked on a pool, and its value."""
