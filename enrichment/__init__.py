"""Authorization in, signals out. Pure."""
