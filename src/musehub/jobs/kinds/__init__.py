"""One module per kind of job; `musehub.jobs.catalog` lists them."""
