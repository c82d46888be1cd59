"""Extreme classification with label texts: DEXA and the methods around it."""
