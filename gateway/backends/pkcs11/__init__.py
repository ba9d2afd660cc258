"""Keys in a hardware module, by PKCS#11: it signs, and opens the file of secrets. Extra `hsm`."""
