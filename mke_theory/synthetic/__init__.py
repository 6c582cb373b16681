"""Worlds: distributions of multimodal samples whose every error is known exactly."""
