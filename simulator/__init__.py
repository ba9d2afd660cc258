"""Payment traffic and issuers with a truth that the simulator knows."""
