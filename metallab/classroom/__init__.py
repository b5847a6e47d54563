"""``inv lesson.serve``: a lesson as pages, with the lab's live picture and a terminal on any machine."""
