"""Keys in HashiCorp Vault's Transit engine: it signs, and opens the file of secrets. Extra `vault`.

Tested against a recorded contract, the documented requests and replies of its API: never run against a real
Vault.
"""
