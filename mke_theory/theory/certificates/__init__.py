"""The largest error of a student that a graph and side information still allow."""
