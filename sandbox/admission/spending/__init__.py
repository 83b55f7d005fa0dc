"""Budgets, rates and prices: what a call may use, what it used, and what it cost."""
