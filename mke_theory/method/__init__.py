"""The paper. Start here: Algorithm 1, its objective, losses, pseudo labels and perturbations."""
