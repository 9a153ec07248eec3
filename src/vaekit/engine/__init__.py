"""The engine: one flat training loop, its step, its optimizer, its checkpoints. It knows the model only as a `VAE`."""
