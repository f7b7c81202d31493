"""The data sets, one file each: a module in this folder reads its set and registers it.

Every module here is found and imported when a data set is first asked for, so that a new file is all that a new set
takes. At its top it imports torch and this package only; what else it needs, its reader imports.
"""
