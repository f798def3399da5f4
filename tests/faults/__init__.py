"""Faults put into real runs, one at a time, to see that nothing is lost: ``make faults``.

A *sitting* is one command of vaescope in a process of its own, forked from one that has imported everything, so that it
costs what the command itself costs. Whatever it does to its folder that could fail or be cut short passes through the
kernel as a system call, be it made by Python or by native code, and of every such call the kernel asks this suite first
(:mod:`tests.faults.watch`). The suite lets it pass, kills the process before it or in the middle of it, or refuses it
as a full or broken disk would. As a run repeats its calls exactly, "the 217th call" is a moment that can be come back
to.

=========== ===========================================================================================================
``kills``   killed at a random call or time, gone on with, and compared with the run that nobody disturbed
``errors``  every single call refused: disk full, broken, read-only, forbidden; and a file system that really is
``damage``  every file cut off, altered, emptied or taken away
``signals`` SIGINT, SIGTERM, SIGUSR1 at random moments, two at once, two processes in one folder
=========== ===========================================================================================================
"""
