"""MKE among the semi-supervised methods, at equal budgets."""
