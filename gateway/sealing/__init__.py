"""Keys, pseudonyms, JWS, JWE, SET."""
