"""The checks: each asks one question of the lab and returns what it saw, with the evidence.

They know nothing of each other; ``verify.py`` puts them in order. A check raises LabError when it could not ask.
"""
