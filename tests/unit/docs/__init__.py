"""The documentation held true: what pages say is run, or compared with the code."""
