"""The measure process: the lake, statistics and reports."""
