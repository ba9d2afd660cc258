"""What must be shown: each module measures one promise and returns its evidence."""
