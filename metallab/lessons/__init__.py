"""Lessons: what lies in ``lessons/``, played on a lab. A learner does something for real, and the lab itself is asked.

``format.py`` reads a lesson's folder; ``checks.py`` judges a step; ``base.py`` brings the lab to a lesson's start;
``play.py`` is the story of a learner; ``workshop.py`` plays them all; ``sheet.py`` and ``killercoda.py`` draw.
"""
