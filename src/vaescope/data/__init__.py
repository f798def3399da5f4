"""Images in: named sets, their download, the user's own files, and batches.

Only the descriptions are imported at once; what needs torch comes when it is first asked for, so that
``vaescope data list`` is instant.
"""
