"""Providers that are looked up in this process: one small file a family. Pure but for what they are given."""
