"""Images drawn by a diffusion model (S1's synthetic branch): trained, sampled, checked for copies, and marked."""
