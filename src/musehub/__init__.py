"""The self-hosted hub: repositories, accounts, push and fetch over HTTP."""
