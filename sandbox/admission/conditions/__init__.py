"""Conditions: the fields they may name, the operators they are written with, and whether one holds."""
