"""What happens after a push: jobs from the outbox, and the workers that run them; see docs/jobs.md."""
