"""
Settings: the only readers of the environment.

`embedded` (the default): one process, secrets generated once into the data folder.
`production`: every secret given, and a start refused while something is unsafe.
`test`: the suite's. All three share `base`.
"""
