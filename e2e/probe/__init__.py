"""The write-outage probe: what an application notices of a fault, counted.

`python -m e2e.probe --help` runs it from a shell; tests run it beside a fault by `e2e.probe.process.Probe`.
"""
