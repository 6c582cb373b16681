"""The `mke` command: every job of the package from a shell."""
