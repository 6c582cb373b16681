"""Real data, one wing a data set; `registry` has the tasks by name."""
