"""Builders of data sets from what Debian's packages ship: a module each, by one set of rules."""
