"""A world of two numbers in which errors are formulas, and the noise that is right in it."""
