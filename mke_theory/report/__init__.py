"""From records to tables, figures and the report page.

Its doors are modules: `summary` (the end of a study), `tables` (numbers), `theory`, `page` (a file
with everything), `published` (the paper's numbers beside ours) and `plots` (figures).
"""
