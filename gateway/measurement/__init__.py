"""What the sharing did: uplift with honest intervals. Statistics pure."""
