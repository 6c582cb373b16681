"""Tasks that need no data set: two moons, scikit-learn's digits, and arrays of your own."""
