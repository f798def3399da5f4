"""The report of a run: one page that shows what was trained, what it learned, and what the numbers mean.

It is one file that needs nothing beside it, and it works without scripts. All comes from the run folder: the images
that the run was trained on need not be there any more.
"""

from vaescope.report.page import report_html

__all__ = ["report_html"]
