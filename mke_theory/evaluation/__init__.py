"""How good, how sure: the account of a student, metrics, and what chance could have done."""
