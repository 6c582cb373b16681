"""Who is compared, and what is recorded."""
