"""How much larger a set becomes by all that it reaches."""
