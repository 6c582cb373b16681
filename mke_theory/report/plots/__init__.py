"""One function for each type of figure."""
