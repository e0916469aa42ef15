"""The loop itself: each step of `autoweak run` is a module here, and can be run alone."""
