"""What must be shown: each module measures one promise, at reduced or full counts, and returns its evidence."""
