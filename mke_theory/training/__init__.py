"""One loop: batches, checkpoints, devices, the running average, predictions."""
