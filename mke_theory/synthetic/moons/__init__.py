"""Two moons, each modality one coordinate: densities, posterior and Bayes error."""
