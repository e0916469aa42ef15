"""Images with known truth, drawn by the program: for the demo, for tests and for training."""
