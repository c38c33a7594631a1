"""The audit's page, contact sheets and tables.

Prints what `audit.audit` and `audit.findings` have measured.
May import audit, reporting and runtime.
"""
