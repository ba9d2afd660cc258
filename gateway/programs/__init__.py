"""Issuers, programs, enrolments and consent, compiled into a release table; arms; switches."""
