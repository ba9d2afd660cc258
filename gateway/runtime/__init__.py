"""The seams to the outside: clock, entropy, disk, tasks. Each has a real and a simulated form."""
