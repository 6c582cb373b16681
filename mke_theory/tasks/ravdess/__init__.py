"""RAVDESS: the emotion of a speaker, by face and by speech."""
