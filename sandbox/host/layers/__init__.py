"""What the operating system holds when everything above it has failed.

One file for each layer. `apply()` puts it on this process for good and raises OSError where the kernel will not;
`probe()` asks the kernel whether it holds in this process, None if it does, else what is missing. All are for Linux and
for a process of one thread; elsewhere they are absent, and are reported so.
"""
